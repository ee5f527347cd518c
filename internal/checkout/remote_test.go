package checkout

import (
	"strings"
	"testing"
)

func TestParseRemote(t *testing.T) {
	for in, want := range map[string]string{
		"https://github.com/joelhooks/joelclaw.git":    "github.com/joelhooks/joelclaw",
		"https://github.com/joelhooks/joelclaw":        "github.com/joelhooks/joelclaw",
		"https://github.com/joelhooks/joelclaw/":       "github.com/joelhooks/joelclaw",
		"https://user:secret@github.com/o/n.git":       "github.com/o/n",
		"https://x-access-token:ghs_x@GitHub.com/o/n":  "github.com/o/n",
		"git@github.com:joelhooks/joelclaw.git":        "github.com/joelhooks/joelclaw",
		"github.com:o/n":                               "github.com/o/n",
		"ssh://git@github.com/o/n.git":                 "github.com/o/n",
		"ssh://git@ssh.github.com:443/o/n.git":         "github.com/o/n",
		"git://github.com/o/n.git":                     "github.com/o/n",
		"git@github.example.com:team/a.b-c_d.git":      "github.example.com/team/a.b-c_d",
		"https://github.example.com:8443/team/app.git": "github.example.com/team/app",
		"org-123@github.com:o/n.git":                   "github.com/o/n",
		"https://github.com/octo_corp/n":               "github.com/octo_corp/n",
		"/srv/git/n.git":                               "",
		"../n":                                         "",
		"file:///srv/git/o/n.git":                      "",
		`C:\src\n`:                                     "",
		"C:/src/n":                                     "",
		"https://github.com/o":                         "",
		"https://gitlab.com/group/sub/project":         "",
		"https://github.com/o/..":                      "",
		"https://github.com//n":                        "",
		"https://git hub.com/o/n":                      "",
		"":                                             "",
		"ext::sh -c whatever":                          "",
		"https://github.com/o/n?token=x":               "github.com/o/n",
		"ssh://-oProxyCommand=x/o/n":                   "",
	} {
		r, ok := ParseRemote(in)
		got := ""
		if ok {
			got = r.String()
		}
		if got != want {
			t.Errorf("ParseRemote(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzParseRemote checks that accepted names are safe in a URL and an image's
// name, and that they are parsed to themselves again.
func FuzzParseRemote(f *testing.F) {
	f.Add("https://u:p@github.com/o/n.git")
	f.Add("git@github.com:o/n.git")
	f.Add("ssh://git@host:22/o/n")
	f.Fuzz(func(t *testing.T, in string) {
		r, ok := ParseRemote(in)
		if !ok {
			if r != (Remote{}) {
				t.Fatalf("refused, but returned: %+v", r)
			}
			return
		}
		if strings.ContainsAny(r.Host+r.Owner+r.Name, " @:/\\?#%\n\x00") {
			t.Fatalf("%q → %+v", in, r)
		}
		again, ok := ParseRemote("https://" + r.String())
		if !ok || again.Host != r.Host || again.Owner != r.Owner {
			t.Fatalf("%q → %+v → %+v", in, r, again)
		}
	})
}
