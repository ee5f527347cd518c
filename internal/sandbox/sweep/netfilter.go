//go:build linux

package sweep

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Chains removes every netfilter chain whose name begins with one of the
// prefixes, and every rule in other chains that jumps to one of them, for IPv4
// and IPv6.
func Chains(ctx context.Context, prefixes ...string) error {
	for _, family := range []string{"iptables", "ip6tables"} {
		save, err := exec.CommandContext(ctx, family+"-save").Output()
		if err != nil {
			return fmt.Errorf("%s-save: %w", family, err)
		}
		script := removal(save, prefixes)
		if script == "" {
			continue
		}
		cmd := exec.CommandContext(ctx, family+"-restore", "--noflush")
		cmd.Stdin = strings.NewReader(script)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s-restore: %w: %s", family, err, bytes.TrimSpace(out))
		}
	}
	return nil
}

// Tables removes the nftables tables of that name, of every family. Where nft is not
// installed there are none: it is what makes them.
func Tables(ctx context.Context, name string) error {
	nft, err := exec.LookPath("nft")
	if err != nil {
		return nil
	}
	out, err := exec.CommandContext(ctx, nft, "list", "tables").Output()
	if err != nil {
		return fmt.Errorf("nft list tables: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line) // table ip kube-proxy
		if len(f) != 3 || f[2] != name {
			continue
		}
		if out, err := exec.CommandContext(ctx, nft, "delete", "table", f[1], name).CombinedOutput(); err != nil {
			return fmt.Errorf("nft delete table %s %s: %w: %s", f[1], name, err, bytes.TrimSpace(out))
		}
	}
	return nil
}

// removal converts the output of iptables-save into input for iptables-restore
// that removes the chains: first the rules that jump to them, then their own
// rules, then the chains, which must be empty and unreferenced by then.
func removal(save []byte, prefixes []string) string {
	ours := func(chain string) bool {
		for _, p := range prefixes {
			if strings.HasPrefix(chain, p) {
				return true
			}
		}
		return false
	}
	var out, jumps, flush, drop strings.Builder
	lines := bufio.NewScanner(bytes.NewReader(save))
	for lines.Scan() {
		line := lines.Text()
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "*"):
			jumps.Reset()
			flush.Reset()
			drop.Reset()
			fmt.Fprintln(&jumps, line)
		case strings.HasPrefix(line, ":") && ours(strings.TrimPrefix(f[0], ":")):
			fmt.Fprintln(&flush, "-F", f[0][1:])
			fmt.Fprintln(&drop, "-X", f[0][1:])
		case strings.HasPrefix(line, "-A ") && !ours(f[1]) && jumpsTo(f, ours):
			fmt.Fprintln(&jumps, "-D"+line[2:])
		case line == "COMMIT" && (flush.Len() > 0 || strings.Count(jumps.String(), "\n") > 1):
			out.WriteString(jumps.String() + flush.String() + drop.String() + "COMMIT\n")
		}
	}
	return out.String()
}

func jumpsTo(rule []string, ours func(string) bool) bool {
	for i, w := range rule[:len(rule)-1] {
		if (w == "-j" || w == "-g") && ours(rule[i+1]) {
			return true
		}
	}
	return false
}
