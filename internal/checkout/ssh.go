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

// resolveAlias replaces an alias from ~/.ssh/config with the real host, like gh
// (go-gh pkg/ssh). If an alias cannot be resolved, the result is empty, because
// the alias means nothing to anybody else.
//
// ssh gets the same cleaned environment as git, because a "Match exec" in its
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
		// ssh takes the home directory from the user database, but some users of git
		// rely on HOME.
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

// sshHost returns the host that ssh would connect to according to `ssh -G`; empty
// if ssh fails.
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
