package checkout

import (
	"net/url"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
)

// Remote is a repository on GitHub or an enterprise server.
type Remote struct{ Host, Owner, Name string }

func (r Remote) String() string { return r.Host + "/" + r.Owner + "/" + r.Name }

var (
	// scp is git's short form of an ssh address: [user@]host:path.
	scp = lazyregexp.New(`^(?:[^@/:\s]+@)?([A-Za-z0-9][A-Za-z0-9.-]*):([^:].*)$`)
	// These are GitHub's rules for owners and names.
	ownerName = lazyregexp.New(`^[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?$`)
	repoName  = lazyregexp.New(`^[A-Za-z0-9._-]{1,100}$`)
	hostName  = lazyregexp.New(`^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$`)
)

const githubHost = "github.com"

// normalHost returns the main name of a GitHub host. GitHub accepts ssh on port
// 443 under a different name (docs: "Using SSH over the HTTPS port").
func normalHost(host string) string {
	if host == "ssh.github.com" || host == "www.github.com" {
		return githubHost
	}
	return host
}

// parseRepo parses the value of GH_REPO like gh: [HOST/]OWNER/REPO, or a URL.
func parseRepo(text, host string) (Remote, bool) {
	if r, ok := ParseRemote(text); ok {
		return r, true
	}
	if host == "" {
		host = githubHost
	}
	if strings.Count(text, "/") == 1 {
		text = host + "/" + text
	}
	return ParseRemote("https://" + text)
}

// ParseRemote parses the address of a git remote: https, ssh, git, or the short
// form of ssh. It drops credentials and ports. ok is false for anything that is
// not HOST/OWNER/NAME, such as a path.
func ParseRemote(address string) (r Remote, ok bool) {
	host, path := "", ""
	if strings.Contains(address, "://") {
		u, err := url.Parse(address)
		if err != nil {
			return Remote{}, false
		}
		switch u.Scheme {
		case "https", "http", "ssh", "git", "git+ssh", "git+https":
		default:
			return Remote{}, false
		}
		host, path = u.Hostname(), u.Path
	} else if m := scp.FindStringSubmatch(address); m != nil {
		host, path = m[1], m[2]
	}
	if len(host) == 1 { // C:\repo
		return Remote{}, false
	}
	host = strings.ToLower(host)
	host = normalHost(host)
	owner, name, _ := strings.Cut(strings.Trim(path, "/"), "/")
	name = strings.TrimSuffix(name, ".git")
	if !hostName.MatchString(host) || !ownerName.MatchString(owner) || !repoName.MatchString(name) || name == "." || name == ".." {
		return Remote{}, false
	}
	return Remote{Host: host, Owner: owner, Name: name}, true
}
