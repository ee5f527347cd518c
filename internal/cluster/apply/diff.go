package apply

import (
	"bytes"
	"fmt"

	"github.com/rogpeppe/go-internal/diff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Diff returns what results changed (or would change, after a dry run), as one unified
// diff of YAML. It is empty if nothing changed. Values of Secrets are masked.
func Diff(results []Result) (string, error) {
	var out bytes.Buffer
	for _, r := range results {
		before, after := readable(r.Before), readable(r.After)
		if r.After.GetKind() == "Secret" && r.After.GroupVersionKind().Group == "" {
			mask(before, after)
		}
		old, err := render(before)
		if err != nil {
			return "", err
		}
		now, err := render(after)
		if err != nil {
			return "", err
		}
		name := r.String()
		if r.Namespace != "" {
			name = r.Namespace + "/" + name
		}
		text := diff.Diff("live/"+name, old, "applied/"+name, now)
		// The first line is a shell command for this diff, which nobody ran.
		if _, rest, ok := bytes.Cut(text, []byte("\n")); ok && bytes.HasPrefix(text, []byte("diff ")) {
			text = rest
		}
		out.Write(text)
	}
	return out.String(), nil
}

func render(object map[string]any) ([]byte, error) {
	if object == nil {
		return nil, nil
	}
	return yaml.Marshal(object)
}

// readable removes the fields that no person wrote.
func readable(u *unstructured.Unstructured) map[string]any {
	if u == nil {
		return nil
	}
	c := u.DeepCopy()
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"} {
		unstructured.RemoveNestedField(c.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(c.Object, "status")
	annotations := c.GetAnnotations()
	delete(annotations, lastApplied)
	delete(annotations, controllersRevision)
	if len(annotations) == 0 {
		annotations = nil
	}
	c.SetAnnotations(annotations)
	return c.Object
}

// mask hides a Secret's values but still shows which of them change.
func mask(before, after map[string]any) {
	for _, field := range []string{"data", "stringData"} {
		old, now := values(before, field), values(after, field)
		for key := range now {
			if _, had := old[key]; !had {
				now[key] = masked("after")
			}
		}
		for key, was := range old {
			is, has := now[key]
			switch {
			case has && fmt.Sprint(was) == fmt.Sprint(is):
				old[key], now[key] = masked(""), masked("")
			case has:
				old[key], now[key] = masked("before"), masked("after")
			default:
				old[key] = masked("before")
			}
		}
	}
}

func masked(when string) string {
	if when == "" {
		return "***"
	}
	return "*** (" + when + ")"
}

func values(object map[string]any, field string) map[string]any {
	m, _, err := unstructured.NestedFieldNoCopy(object, field)
	if err != nil || m == nil {
		return nil
	}
	v, ok := m.(map[string]any)
	if !ok {
		return nil
	}
	return v
}
