package checkout

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// sshRemote reports whether git would connect to an address with ssh.
func sshRemote(address string) bool {
	scheme, _, ok := strings.Cut(address, "://")
	return !ok && scp.MatchString(address) || ok && (scheme == "ssh" || scheme == "git+ssh")
}

// resolveAlias replaces a host that is an alias of ~/.ssh/config by the real one,
// as gh does (go-gh pkg/ssh). An alias that cannot be resolved leaves nothing:
// its name is not a host that anybody else could reach.
//
// ssh is asked with the same cleaned environment as git: a "Match exec" of the
// configuration may start programs.
func (g git) resolveAlias(ctx context.Context, r Remote) Remote {
	if r.Host == githubHost || r.Host == "" {
		return r
	}
	program, err := exec.LookPath("ssh")
	if err != nil {
		return Remote{}
	}
	host := g.sshHost(ctx, program, r.Host)
	if host == "" || host == r.Host {
		// ssh takes the home directory from the user database, and git's users
		// sometimes mean HOME.
		if config := filepath.Join(g.getenv("HOME"), ".ssh", "config"); isFile(config) {
			host = g.sshHost(ctx, program, "-F", config, r.Host)
		}
	}
	host = normalHost(strings.ToLower(host))
	if !strings.Contains(host, ".") || !hostName.MatchString(host) {
		return Remote{}
	}
	r.Host = host
	return r
}

// sshHost is what `ssh -G` has as the name of the host to connect to; empty when
// it cannot tell.
func (g git) sshHost(ctx context.Context, program string, args ...string) string {
	cmd := exec.CommandContext(ctx, program, append([]string{"-G"}, args...)...)
	cmd.Dir, cmd.Env = g.dir, g.env
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(line, "hostname "); ok {
			return strings.TrimSpace(name)
		}
	}
	return ""
}

func isFile(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}
