package build

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// checkPlatforms compares the platforms that a builder says it can run with the
// requested ones. If the builder does not list any, it is assumed to support all.
// A platform matters only if the Dockerfile runs something on it.
//
// BuildKit lists the platforms that its kernel can run. Its own image also
// contains emulators (buildkit-qemu-*) that it does not list
// (solver/llbsolver/ops/exec_binfmt.go), so an unlisted platform is not always an
// error. grave is the severity of the finding.
func checkPlatforms(who string, can []string, req Request, grave pipeline.Severity) []*pipeline.Finding {
	if len(can) == 0 {
		return nil
	}
	var all []*pipeline.Finding
	for _, p := range req.Platforms {
		if slices.ContainsFunc(can, func(c string) bool { return imageref.SplitPlatform(c) == imageref.SplitPlatform(p) }) {
			continue
		}
		step := firstRun(req, p, can[0])
		if step == nil {
			continue
		}
		arch := imageref.SplitPlatform(p).Arch
		all = append(all, &pipeline.Finding{
			Code:     CodePlatform,
			Severity: grave,
			Where:    step.where,
			What:     who + " says that it cannot run a step for " + p,
			Why:      "it runs " + strings.Join(can, ", "),
			Fix: "install emulation where it runs: docker run --privileged --rm tonistiigi/binfmt --install " + arch +
				" (Debian: apt install qemu-user-static binfmt-support)",
		})
	}
	return all
}

type runStep struct{ where string }

// firstRun returns the first step that has to run on the platform, natively or
// emulated; nil if there is none. A Dockerfile that cannot be read is assumed
// to have one.
func firstRun(req Request, platform, native string) *runStep {
	d, err := readDockerfile(req.Dockerfile)
	if err != nil || !d.plain() {
		return &runStep{}
	}
	vars := d.vars(req, platform, native)
	stages, ok := d.reachable(req.Target, vars)
	if !ok {
		return &runStep{}
	}
	runsOn := map[int]string{}
	for _, i := range stages {
		s := d.stages[i]
		base, _ := expand(s.base, vars)
		runsOn[i] = platform
		if parent := d.find(base, i); parent >= 0 {
			runsOn[i] = runsOn[parent]
		} else if s.platform != "" {
			if p, known := expand(s.platform, vars); known {
				runsOn[i] = p
			}
		}
		if imageref.SplitPlatform(runsOn[i]) != imageref.SplitPlatform(platform) {
			continue
		}
		for _, in := range s.instrs {
			if in.name == "RUN" {
				return &runStep{where: place(req, in.line)}
			}
		}
	}
	return nil
}

// vars returns the variables that FROM may use.
func (d dockerfile) vars(req Request, platform, native string) map[string]string {
	vars := map[string]string{"TARGETPLATFORM": platform, "BUILDPLATFORM": native, "TARGETSTAGE": req.Target}
	for prefix, p := range map[string]string{"TARGET": platform, "BUILD": native} {
		parts := strings.SplitN(p+"//", "/", 4)
		vars[prefix+"OS"], vars[prefix+"ARCH"], vars[prefix+"VARIANT"] = parts[0], parts[1], parts[2]
	}
	for k, v := range d.args {
		vars[k] = v
	}
	for k, v := range req.Args {
		if _, declared := d.args[k]; declared {
			vars[k] = v
		}
	}
	return vars
}

// emulators maps Go's names of architectures to the names of the kernel's
// binfmt_misc entries (qemu's scripts/qemu-binfmt-conf.sh).
var emulators = map[string]string{
	"arm64": "aarch64", "amd64": "x86_64", "arm": "arm", "386": "i386", "riscv64": "riscv64",
	"ppc64le": "ppc64le", "s390x": "s390x", "loong64": "loongarch64", "mips64le": "mips64el",
}

// localPlatforms returns the platforms that this machine can run, natively or
// through an emulator registered with binfmt_misc at dir; nil if they cannot be
// determined.
func localPlatforms(dir string) []string {
	if runtime.GOOS != "linux" {
		return nil
	}
	all := []string{"linux/" + runtime.GOARCH}
	if runtime.GOARCH == "amd64" {
		all = append(all, "linux/386")
	}
	for arch, name := range emulators {
		text, err := os.ReadFile(filepath.Join(dir, "qemu-"+name))
		if err == nil && strings.HasPrefix(string(text), "enabled") {
			all = append(all, "linux/"+arch)
		}
	}
	slices.Sort(all[1:])
	return all
}

// binfmtDir is the directory in which the kernel lists its emulators.
const binfmtDir = "/proc/sys/fs/binfmt_misc"
