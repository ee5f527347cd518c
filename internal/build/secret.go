package build

import (
	"encoding/csv"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// secretSpec is the specification of a build secret in the form of buildx and
// buildctl: id=NAME[,src=FILE|,env=VAR|,type=env].
type secretSpec struct{ id, src, env string }

// parseSecret parses the specification of a secret like BuildKit's clients
// (buildx util/buildflags/secrets.go): without a source, the secret is the
// environment variable of the same name if it exists, and otherwise the file of
// that name.
func parseSecret(s string) (secretSpec, bool) {
	r := csv.NewReader(strings.NewReader(s))
	fields, err := r.Read()
	if err != nil {
		return secretSpec{}, false
	}
	var out secretSpec
	var kind string
	for _, f := range fields {
		k, v, ok := strings.Cut(f, "=")
		if !ok {
			return secretSpec{}, false
		}
		switch strings.ToLower(k) {
		case "id":
			out.id = v
		case "src", "source":
			out.src = v
		case "env":
			out.env = v
		case "type":
			kind = v
		default:
			return secretSpec{}, false
		}
	}
	if kind == "env" && out.env == "" {
		out.env, out.src = out.src, ""
	}
	if out.env == "" && out.src == "" && kind != "file" {
		out.env = out.id
	}
	return out, out.id != ""
}

// CheckSecret reports whether s is a valid specification of a secret. It does
// not look for the file or variable, because some builders run elsewhere.
func CheckSecret(s string) error {
	if _, ok := parseSecret(s); ok {
		return nil
	}
	// The value is not repeated, because it may be the secret itself.
	return pipeline.UsageErrorf(
		pipeline.CodeUsage,
		"write it as id=NAME,src=FILE or id=NAME,env=VAR",
		"a build secret is not written in the form that builders accept",
	)
}

// secretNames returns the variables that the build's secrets come from.
func secretNames(secrets []string) (names []string) {
	for _, s := range secrets {
		if spec, ok := parseSecret(s); ok && spec.env != "" {
			names = append(names, spec.env)
		}
	}
	return names
}
