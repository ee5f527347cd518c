//go:build linux

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// sysctls are the kernel settings that the kubelet, kube-proxy and this package
// change for the whole machine (kubelet: pkg/kubelet/cm, setupKernelTunables).
var sysctls = []string{
	"vm/overcommit_memory", "vm/panic_on_oom",
	"kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	"net/ipv4/ip_forward",
}

const (
	binfmtDir  = "/proc/sys/fs/binfmt_misc"
	binfmtName = "qemu-aarch64"
)

// fixed lists directories whose location programs do not let us choose. Those
// that did not exist before are removed again once they are empty. A directory
// comes after its subdirectories.
var fixed = []string{
	"/var/lib/kubelet/device-plugins", "/var/lib/kubelet",
	"/var/log/containers",
	"/var/lib/cni/results", "/var/lib/cni",
	"/run/containerd/s", "/run/containerd",
}

// host is the machine: what must be changed on it, and its state before that.
type host struct {
	file string // where the previous state is recorded
	say  func(format string, args ...any)
}

// before is the state of the machine before the first change.
type before struct {
	Sysctls       map[string]string `json:"sysctls"`
	Address       bool              `json:"address"` // NodeIP was already assigned
	BinfmtMounted bool              `json:"binfmtMounted"`
	BinfmtEnabled bool              `json:"binfmtEnabled"`
	Dirs          []string          `json:"dirs"` // the members of fixed that already existed
}

func (c *Cluster) host() host { return host{file: c.path("before.json"), say: c.Say} }

// prepare records the state of the machine, once, and prepares it for a node.
func (h host) prepare(ctx context.Context) error {
	if err := h.record(ctx); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1\n"), 0o644); err != nil {
		return err
	}
	if has, err := hasAddress(ctx); err != nil {
		return err
	} else if !has {
		if err := run(ctx, "ip", "address", "add", NodeIP+"/32", "dev", "lo"); err != nil {
			return err
		}
	}
	for _, r := range routes {
		if err := run(ctx, "ip", r.args("replace")...); err != nil {
			return err
		}
	}
	return h.emulate(ctx)
}

func (h host) record(ctx context.Context) error {
	if _, err := os.Stat(h.file); err == nil {
		return nil
	}
	b := before{
		Sysctls:       map[string]string{},
		BinfmtMounted: exists(filepath.Join(binfmtDir, "register")),
		BinfmtEnabled: exists(filepath.Join(binfmtDir, binfmtName)),
	}
	for _, s := range sysctls {
		v, err := os.ReadFile("/proc/sys/" + s)
		if err != nil {
			return err
		}
		b.Sysctls[s] = strings.TrimSpace(string(v))
	}
	for _, dir := range fixed {
		if exists(dir) {
			b.Dirs = append(b.Dirs, dir)
		}
	}
	var err error
	if b.Address, err = hasAddress(ctx); err != nil {
		return err
	}
	data, err := json.Marshal(b)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(h.file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(h.file, data, 0o644)
}

// emulate lets the kernel run arm64 programs through qemu, including those in
// containers: Debian registers its static qemu with the F flag, which opens the
// interpreter once, outside the containers.
func (h host) emulate(ctx context.Context) error {
	if runtime.GOARCH == Arch {
		return nil
	}
	if !exists(filepath.Join(binfmtDir, "register")) {
		if err := unix.Mount("binfmt_misc", binfmtDir, "binfmt_misc", 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", binfmtDir, err)
		}
	}
	if !exists(filepath.Join(binfmtDir, binfmtName)) {
		if err := run(ctx, "update-binfmts", "--enable", binfmtName); err != nil {
			return err
		}
	}
	b, err := os.ReadFile(filepath.Join(binfmtDir, binfmtName))
	if err != nil {
		return fmt.Errorf("arm64 emulation is not registered: %w", err)
	}
	if !bytes.Contains(b, []byte("flags: ")) || !bytes.Contains(flags(b), []byte("F")) {
		return fmt.Errorf("%s/%s lacks the F flag, so containers cannot use it: install Debian's qemu-user-static", binfmtDir, binfmtName)
	}
	return nil
}

func flags(b []byte) []byte {
	_, rest, _ := bytes.Cut(b, []byte("flags: "))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return line
}

// restore restores the recorded state of the machine.
func (h host) restore(ctx context.Context) error {
	data, err := os.ReadFile(h.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var b before
	if err := json.Unmarshal(data, &b); err != nil {
		return fmt.Errorf("%s: %w", h.file, err)
	}
	var errs []error
	for s, v := range b.Sysctls {
		if now, err := os.ReadFile("/proc/sys/" + s); err == nil && strings.TrimSpace(string(now)) == v {
			continue
		}
		errs = append(errs, os.WriteFile("/proc/sys/"+s, []byte(v+"\n"), 0o644))
	}
	if !b.Address {
		if has, err := hasAddress(ctx); err != nil {
			errs = append(errs, err)
		} else if has {
			errs = append(errs, run(ctx, "ip", "address", "del", NodeIP+"/32", "dev", "lo"))
		}
	}
	for _, r := range routes {
		if exists, err := r.exists(ctx); err != nil {
			errs = append(errs, err)
		} else if exists {
			errs = append(errs, run(ctx, "ip", r.args("del")...))
		}
	}
	if !b.BinfmtEnabled && exists(filepath.Join(binfmtDir, binfmtName)) {
		// Writing -1 unregisters only this entry, and leaves Debian's own record of
		// what to enable at the next boot alone.
		errs = append(errs, os.WriteFile(filepath.Join(binfmtDir, binfmtName), []byte("-1"), 0o644))
	}
	if !b.BinfmtMounted && exists(filepath.Join(binfmtDir, "register")) {
		errs = append(errs, unix.Unmount(binfmtDir, 0))
	}
	if err := errors.Join(append(errs, removeDirs(b.Dirs))...); err != nil {
		return err
	}
	return os.Remove(h.file)
}

// removeDirs removes the fixed directories that were not there before, unless they are in
// use by something else.
func removeDirs(before []string) error {
	var errs []error
	for _, dir := range fixed {
		if slices.Contains(before, dir) {
			continue
		}
		if err := os.Remove(dir); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func hasAddress(ctx context.Context) (bool, error) {
	out, err := exec.CommandContext(ctx, "ip", "-o", "-4", "address", "show", "dev", "lo").Output()
	if err != nil {
		return false, fmt.Errorf("ip address show: %w", err)
	}
	return bytes.Contains(out, []byte(" "+NodeIP+"/")), nil
}

// route is a route of this machine: its type, its destination and, if the type needs one,
// its device.
type route struct{ kind, to, dev string }

// routes keep on this machine what has no other place to go: the addresses of Services that
// kube-proxy does not translate, because they are gone, are refused, and those of pods that
// are gone are unreachable. Otherwise such a request would leave this machine, and whatever
// answers out there would be taken for the Service or the pod.
var routes = []route{{kind: "local", to: ServiceCIDR, dev: "lo"}, {kind: "unreachable", to: PodCIDR}}

// args returns the arguments of ip that add, replace or delete the route.
func (r route) args(verb string) []string {
	all := []string{"route", verb, r.kind, r.to}
	if r.dev != "" {
		all = append(all, "dev", r.dev)
	}
	return all
}

func (r route) exists(ctx context.Context) (bool, error) {
	out, err := exec.CommandContext(ctx, "ip", "-4", "route", "show", "table", "all", "type", r.kind, r.to).Output()
	if err != nil {
		return false, fmt.Errorf("ip route show: %w", err)
	}
	return len(bytes.TrimSpace(out)) > 0, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// run runs a program whose output matters only if it fails.
func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
