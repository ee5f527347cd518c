package containerenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// SourceForms describes how a Source is written.
const SourceForms = "env:NAME, file:PATH or secret:[NAMESPACE/]NAME/KEY"

// Source is where a secret value is read from, as written on a command line:
// the place, never the value.
type Source struct {
	kind      string // env, file, secret
	namespace string // of a Secret; empty means the worker's
	name      string // variable, path or Secret
	key       string // of a Secret
}

// ParseSource reads the Source after a flag. Its error, with the code
// "key-source", does not repeat the text, because somebody may have written the
// value itself.
func ParseSource(flag, text string) (Source, error) {
	bad := func(format string, args ...any) (Source, error) {
		f := pipeline.UsageErrorf(codeKeySource, "write it as "+SourceForms, format, args...)
		f.What = flag + " " + f.What
		return Source{}, f
	}
	kind, rest, ok := strings.Cut(text, ":")
	s := Source{kind: kind, name: rest}
	switch {
	case !ok || kind != "env" && kind != "file" && kind != "secret":
		f := pipeline.UsageErrorf(codeKeySource, "write it as "+SourceForms, "%s does not say where the value is", flag)
		f.Why = "give the place where the value is, never the value itself, which others could see on the command line"
		return Source{}, f
	case kind == "env" && (rest == "" || strings.ContainsAny(rest, "=$ \x00")):
		return bad("env: is not followed by the name of a variable, as in env:INNGEST_SIGNING_KEY")
	case kind == "file" && rest == "":
		return bad("file: is not followed by a path")
	case kind != "secret":
		return s, nil
	}
	parts := strings.Split(rest, "/")
	if len(parts) == 3 {
		s.namespace, parts = parts[0], parts[1:]
		if len(validation.IsDNS1123Label(s.namespace)) > 0 {
			return bad("secret: does not begin with the name of a namespace")
		}
	}
	if len(parts) != 2 {
		return bad("secret: needs a Secret's name and a key in it, as in secret:system-bus-env/INNGEST_SIGNING_KEY")
	}
	s.name, s.key = parts[0], parts[1]
	if len(validation.IsDNS1123Subdomain(s.name)) > 0 {
		return bad("secret: does not name a Secret: such a name has lower case letters, digits, '-' and '.'")
	}
	if len(validation.IsConfigMapKey(s.key)) > 0 {
		return bad("secret: does not name a key of the Secret")
	}
	return s, nil
}

// IsZero reports whether no Source was given.
func (s Source) IsZero() bool { return s.kind == "" }

// String returns the Source as it was written.
func (s Source) String() string {
	switch {
	case s.kind != "secret":
		return s.kind + ":" + s.name
	case s.namespace == "":
		return "secret:" + s.name + "/" + s.key
	}
	return "secret:" + s.namespace + "/" + s.name + "/" + s.key
}

// Place is what a Source is relative to.
type Place struct {
	Getenv func(string) string
	// Dir is the directory that relative paths start from.
	Dir string
	// Kube and Namespace are used only for a Secret.
	Kube      func() (kubernetes.Interface, error)
	Namespace string
}

// maxSource limits how much of a file is read; keys are shorter.
const maxSource = 64 << 10

// Read returns the value without surrounding white space. An error is a Finding
// with the code "key-source-unread", without the value.
func (s Source) Read(ctx context.Context, in Place) (string, error) {
	unread := func(fix, why string, err error) error {
		return &pipeline.Finding{Code: codeKeySourceUnread, Severity: pipeline.Error, Err: err,
			What: "no value can be read from " + s.String(), Why: why, Fix: fix}
	}
	var text string
	switch s.kind {
	case "env":
		if text = in.Getenv(s.name); text == "" {
			return "", unread("export "+s.name+" in this shell, or name another source", "the variable is not set here", nil)
		}
	case "file":
		raw, err := readFile(s.path(in.Dir))
		if err != nil {
			return "", unread("name a readable file that contains only the value", err.Error(), err)
		}
		text = raw
	case "secret":
		namespace := s.namespace
		if namespace == "" {
			namespace = in.Namespace
		}
		kube, err := in.Kube()
		if err != nil {
			return "", err
		}
		secret, err := kube.CoreV1().Secrets(namespace).Get(ctx, s.name, metav1.GetOptions{})
		switch {
		case apierrors.IsForbidden(err):
			return "", unread(
				"ask the cluster's administrator for the verb get on secrets, or name a file or variable",
				"you may not read it in namespace "+namespace,
				err,
			)
		case apierrors.IsNotFound(err):
			return "", unread("check the name and the namespace", "there is no such Secret in namespace "+namespace, err)
		case err != nil:
			return "", cluster.Explain("read secret/"+s.name, err)
		}
		raw, ok := secret.Data[s.key]
		if !ok {
			return "", unread("check the key with `kubectl describe secret "+s.name+"`", "the Secret has no such key", nil)
		}
		text = string(raw)
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", unread("put the value there, or name another source", "it is empty", nil)
	}
	if strings.ContainsAny(text, "\n\x00") {
		return "", unread("keep only the value in it", "it contains more than one line", nil)
	}
	return text, nil
}

// path is the file; a shell does not expand the tilde after "file:".
func (s Source) path(dir string) string {
	if rest, ok := strings.CutPrefix(s.name, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if filepath.IsAbs(s.name) {
		return s.name
	}
	return filepath.Join(dir, s.name)
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", withoutPath(err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err != nil {
		return "", withoutPath(err)
	}
	if len(raw) > maxSource {
		return "", fmt.Errorf("the file is larger than %d KiB", maxSource>>10)
	}
	return string(raw), nil
}

// withoutPath removes the path, which the message already contains.
func withoutPath(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
