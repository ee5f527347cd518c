package apply

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubectl/pkg/cmd/diff"
)

// TestMaskIsKubectls compares the result with what `kubectl diff` hides in Secrets: no value is shown, and a
// key shows a difference exactly where kubectl shows one.
func TestMaskIsKubectls(t *testing.T) {
	secret := func(data map[string]any) *unstructured.Unstructured {
		if data == nil {
			return nil
		}
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "s"}, "data": data}}
	}
	for name, tt := range map[string]struct{ before, after map[string]any }{
		"created":                    {nil, map[string]any{"a": "QQ=="}},
		"deleted":                    {map[string]any{"a": "QQ=="}, nil},
		"unchanged":                  {map[string]any{"a": "QQ=="}, map[string]any{"a": "QQ=="}},
		"changed":                    {map[string]any{"a": "QQ=="}, map[string]any{"a": "Qg=="}},
		"renamed":                    {map[string]any{"a": "QQ=="}, map[string]any{"b": "QQ=="}},
		"one of several":             {map[string]any{"a": "QQ==", "b": "Qg=="}, map[string]any{"a": "QQ==", "b": "Qw==", "c": "RA=="}},
		"a value like what hides it": {map[string]any{"b": "Qg=="}, map[string]any{"a": "***secret", "b": "*** (after)"}},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := secret(tt.before), secret(tt.after)
			ours := [2]map[string]any{readable(before), readable(after)}
			mask(ours[0], ours[1])
			theirs, err := diff.NewMasker(asObject(before), asObject(after))
			if err != nil {
				t.Fatal(err)
			}
			for key := range keysOf(tt.before, tt.after) {
				was, is := theirsAt(t, theirs.From(), key), theirsAt(t, theirs.To(), key)
				old, now := values(ours[0], "data")[key], values(ours[1], "data")[key]
				if fmt.Sprint(was) == fmt.Sprint(is) != (fmt.Sprint(old) == fmt.Sprint(now)) {
					t.Errorf("%s: kubectl shows %v and %v, sbw %v and %v", key, was, is, old, now)
				}
				for _, shown := range []any{old, now} {
					if shown != nil && shown != masked("") && shown != masked("before") && shown != masked("after") {
						t.Errorf("%s is shown: %v", key, shown)
					}
				}
			}
			if text := fmt.Sprint(ours); strings.Contains(text, "==") {
				t.Error(text)
			}
		})
	}
}

// asObject avoids an interface that holds a nil pointer.
func asObject(u *unstructured.Unstructured) runtime.Object {
	if u == nil {
		return nil
	}
	return u
}

func keysOf(maps ...map[string]any) map[string]bool {
	keys := map[string]bool{}
	for _, m := range maps {
		for key := range m {
			keys[key] = true
		}
	}
	return keys
}

func theirsAt(t *testing.T, object any, key string) any {
	t.Helper()
	u, ok := object.(*unstructured.Unstructured)
	if !ok || u == nil {
		return nil
	}
	value, _, err := unstructured.NestedFieldNoCopy(u.Object, "data", key)
	if err != nil {
		t.Fatal(err)
	}
	return value
}
