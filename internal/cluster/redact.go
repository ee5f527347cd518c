package cluster

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
)

// redacting takes the credentials of a request out of what comes back for it, before
// anybody words, truncates or prints it: an API server, or a proxy in front of it, may
// echo the header that it refuses. It stands below whatever adds credentials, so it
// sees those of a token file or a credential command, too.
type redacting struct{ next http.RoundTripper }

// redact adds redacting to every client that is made from the flags, those of
// discovery included, or to config alone where there are no flags.
func redact(getter genericclioptions.RESTClientGetter, config *rest.Config) *rest.Config {
	wrap := func(c *rest.Config) *rest.Config {
		c = rest.CopyConfig(c)
		c.Wrap(func(next http.RoundTripper) http.RoundTripper { return redacting{next} })
		return c
	}
	flags, ok := getter.(*genericclioptions.ConfigFlags)
	switch {
	case !ok:
	case flags.WrapConfigFn == nil:
		flags.WrapConfigFn = wrap
	default:
		return config // made by the function above
	}
	return wrap(config)
}

// WrappedRoundTripper lets client-go find the connections below.
func (t redacting) WrappedRoundTripper() http.RoundTripper { return t.next }

// echoLimit bounds how much of a refusal is read; a Status is far smaller.
const echoLimit = 4 << 20

// RoundTrip implements http.RoundTripper.
func (t redacting) RoundTrip(req *http.Request) (*http.Response, error) {
	secrets := secretsOf(req.Header.Get("Authorization"))
	resp, err := t.next.RoundTrip(req)
	if len(secrets) == 0 {
		return resp, err
	}
	if err != nil {
		if text := mask([]byte(err.Error()), secrets); string(text) != err.Error() {
			err = &maskedError{text: string(text), err: err}
		}
		return resp, err
	}
	for _, name := range []string{"Warning", "Www-Authenticate"} {
		for i, v := range resp.Header[name] {
			resp.Header[name][i] = string(mask([]byte(v), secrets))
		}
	}
	if resp.StatusCode < http.StatusBadRequest || resp.Body == nil {
		return resp, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, echoLimit))
	err = errors.Join(err, resp.Body.Close())
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(mask(body, secrets)), failing{err}))
	return resp, nil
}

// failing ends a body as the body that it stands for did.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

// maskedError is an error whose text echoed a credential.
type maskedError struct {
	text string
	err  error
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.err }

// secretsOf are the texts that an Authorization header must not be recognised by.
func secretsOf(header string) (all [][]byte) {
	scheme, value, ok := strings.Cut(header, " ")
	if !ok || value == "" {
		return nil
	}
	all = append(all, []byte(value))
	if strings.EqualFold(scheme, "Basic") {
		if plain, err := base64.StdEncoding.DecodeString(value); err == nil {
			if _, password, ok := strings.Cut(string(plain), ":"); ok && password != "" {
				all = append(all, []byte(password))
			}
		}
	}
	return all
}

// recognisable is how many characters of a secret's beginning are masked as well,
// with all that follow them: a server may cut the header that it echoes.
const recognisable = 8

// mask replaces secrets, and their beginnings, by as many asterisks: bodies are
// protobuf as well as JSON, where a text has a length.
func mask(text []byte, secrets [][]byte) []byte {
	out := text
	for _, secret := range secrets {
		begin := secret[:min(len(secret), recognisable)]
		for from := 0; ; {
			i := bytes.Index(out[from:], begin)
			if i < 0 {
				break
			}
			i += from
			end := i
			for end < len(out) && end-i < len(secret) && out[end] == secret[end-i] {
				end++
			}
			if &out[0] == &text[0] {
				out = bytes.Clone(text)
			}
			copy(out[i:end], bytes.Repeat([]byte{'*'}, end-i))
			from = end
		}
	}
	return out
}

// withoutPassword is a server's URL as it may be printed.
func withoutPassword(server string) string {
	if u, err := url.Parse(server); err == nil && u.User != nil {
		return u.Redacted()
	}
	return server
}

var secretFlag = lazyregexp.New(`(?i)^(--?[a-z0-9-]*(token|secret|password|passwd|key|credential)[a-z0-9-]*)(=.*)?$`)

// printableArgs are a command's arguments without the values of flags that are named
// like secrets.
func printableArgs(args []string) []string {
	out := make([]string, 0, len(args))
	hide := false
	for _, a := range args {
		m := secretFlag.FindStringSubmatch(a)
		switch {
		case m != nil && m[3] != "":
			out, hide = append(out, m[1]+"=…"), false
		case hide && !strings.HasPrefix(a, "-"):
			out, hide = append(out, "…"), false
		default:
			out, hide = append(out, a), m != nil
		}
	}
	return out
}
