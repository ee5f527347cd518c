package containerenv

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func TestParseSource(t *testing.T) {
	for _, good := range []string{
		"env:INNGEST_SIGNING_KEY", "file:/run/keys/signing", "file:key", "file:a:b", "secret:system-bus-env/INNGEST_SIGNING_KEY",
		"secret:joelclaw/system-bus-env/KEY", "secret:a.b/tls.key",
	} {
		s, err := ParseSource("--signing-key-from", good)
		if err != nil || s.String() != good {
			t.Errorf("%s: %q %v", good, s, err)
		}
	}
	const key = "signkey-prod-0123456789abcdef"
	for _, bad := range []string{
		"", key, "vault:" + key, "env:", "env:A=" + key, "env:$" + key, "file:", "secret:", "secret:" + key, "secret:/k", "secret:n/",
		"secret:a/b/c/d", "secret:UPPER/k", "secret:n/a b", "secret:N_S/n/k", "ENV:A",
	} {
		_, err := ParseSource("--signing-key-from", bad)
		f, ok := errors.AsType[*pipeline.Finding](err)
		if !ok || f.Code != "key-source" || f.End != pipeline.Usage || !strings.HasPrefix(f.What, "--signing-key-from ") || !strings.Contains(f.Fix, SourceForms) {
			t.Errorf("%q: %v", bad, err)
			continue
		}
		if strings.Contains(err.Error(), key) {
			t.Errorf("%q: the error repeats what may be the key: %v", bad, err)
		}
	}
}

func TestReadSource(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"key": "abc\n", "empty": " \n", "two": "a\nb\n", "long": strings.Repeat("x", maxSource+1)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kube := objects(t, "locked")
	place := Place{
		Getenv: func(name string) string { return map[string]string{"KEY": " abc "}[name] }, Dir: dir, Namespace: "ns",
		Kube: func() (kubernetes.Interface, error) { return kube, nil },
	}
	for text, want := range map[string]string{
		"env:KEY": "abc", "file:key": "abc", "file:" + filepath.Join(dir, "key"): "abc",
		"secret:keys/SHARED": "from secret", "secret:ns/keys/INNGEST_SIGNING_KEY": "signkey-prod-abc",
		// Failures, by a part of their message.
		"env:NONE": "!is not set", "file:none": "!no such file", "file:empty": "!is empty", "file:two": "!more than one line", "file:long": "!larger than 64 KiB",
		"file:.": "!directory", "secret:none/K": "!no such Secret in namespace ns", "secret:other/keys/SHARED": "!no such Secret in namespace other",
		"secret:keys/none": "!no such key", "secret:locked/K": "!may not read it",
	} {
		s, err := ParseSource("--signing-key-from", text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Read(t.Context(), place)
		if why, bad := strings.CutPrefix(want, "!"); bad {
			f, ok := errors.AsType[*pipeline.Finding](err)
			if !ok || f.Code != "key-source-unread" || !strings.Contains(f.What, text) || !strings.Contains(f.Why, why) || f.Fix == "" {
				t.Errorf("%s: %v, want %q", text, err, why)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%s: %q %v", text, got, err)
		}
	}
}
