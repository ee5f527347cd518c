package build

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Auto is the choice that tries every builder.
const Auto = "auto"

// names lists the accepted values of --builder.
var names = []string{"buildx", "buildkit", "docker", "podman", "buildah", "nerdctl"}

// Names returns the values that Options.Choose accepts, besides Auto.
func Names() []string { return append([]string(nil), names...) }

// Options say which builder to look for.
type Options struct {
	// Choose is the name of a builder; Auto or "" means the first one that can
	// build.
	Choose string
	// Env is the environment that builders run in, in the form of os.Environ.
	Env []string
	// Withhold lists variables that are hidden from every builder, in addition to
	// gh's tokens.
	Withhold []string
}

func (o Options) machine() machine {
	return machine{all: o.Env, hidden: slices.Concat(o.Withhold, withheld)}
}

// candidates returns the builders whose programs are installed, in the order in
// which they are tried.
func (o Options) candidates(ctx context.Context) []Builder {
	m := o.machine()
	env := m.env()
	var all []Builder
	argv := findBuildx(ctx, env)
	if argv != nil {
		all = append(all, &buildx{machine: m, argv: argv})
	}
	if host := env.get("BUILDKIT_HOST"); host != "" {
		if p := env.lookPath("buildctl"); p != "" {
			all = append(all, &buildKit{machine: m, buildctl: p, host: host})
		}
	}
	if p := env.lookPath(dockerName); p != "" {
		all = append(all, &docker{machine: m, program: p, buildx: argv, binfmt: binfmtDir})
	}
	for _, name := range []string{"podman", "buildah"} {
		if p := env.lookPath(name); p != "" {
			all = append(all, &containers{machine: m, name: name, program: p, binfmt: binfmtDir})
		}
	}
	if p := env.lookPath("nerdctl"); p != "" {
		all = append(all, &nerdctl{machine: m, program: p})
	}
	return all
}

// Find returns the builder to use for req, with findings: the chosen builder and
// its problems, or the first one that can build and a note on each one that was
// skipped. A finding of severity Error means that the builder cannot build. If
// there is no builder at all, the Builder is nil and the finding's code is
// "builder-missing".
func Find(ctx context.Context, o Options, req Request) (Builder, []*pipeline.Finding, error) {
	auto := o.Choose == "" || o.Choose == Auto
	if !auto && !slices.Contains(names, o.Choose) {
		return nil, nil, pipeline.UsageErrorf(
			codeBuilderUnknown,
			"choose one of "+Auto+", "+strings.Join(names, ", "),
			"no builder is called %q",
			o.Choose,
		)
	}
	var first Builder
	var wrong, passed []*pipeline.Finding
	for _, b := range o.candidates(ctx) {
		if !auto && o.Choose != b.Name() {
			continue
		}
		found, err := b.Check(ctx, req)
		if err != nil {
			return nil, nil, err
		}
		if !refuses(found) {
			if b.Name() == dockerName {
				// It uses the same engine, so there is nothing to report.
				passed = slices.DeleteFunc(passed, func(f *pipeline.Finding) bool { return errors.Is(f.Err, errNoExport) })
			}
			return b, append(passed, found...), nil
		}
		for _, f := range found {
			if f.Severity == pipeline.Error {
				passed = append(
					passed,
					&pipeline.Finding{
						Code:     codeBuilderPassedOver,
						Severity: pipeline.Note,
						What:     b.Name() + " is skipped",
						Why:      strings.TrimSuffix(f.What+": "+f.Why, ": "),
						Fix:      f.Fix,
						Err:      f.Err,
					},
				)
			}
		}
		if first == nil {
			first, wrong = b, found
		}
	}
	if first == nil {
		return nil, []*pipeline.Finding{o.missing()}, nil
	}
	return first, wrong, nil
}

func refuses(found []*pipeline.Finding) bool {
	for _, f := range found {
		if f.Severity == pipeline.Error {
			return true
		}
	}
	return false
}

func (o Options) missing() *pipeline.Finding {
	f := &pipeline.Finding{
		Code:     codeBuilderMissing,
		Severity: pipeline.Error,
		What:     "this machine has no builder",
		Why:      "looked for " + strings.Join(names, ", "),
		Fix: "install docker with buildx, podman or buildah, or set BUILDKIT_HOST and install buildctl; " +
			"or publish a finished image with --layout DIR",
	}
	if o.Choose != "" && o.Choose != Auto {
		f.What, f.Why = "builder "+o.Choose+" is not installed on this machine", ""
		if o.Choose == "buildkit" {
			f.Fix = "set BUILDKIT_HOST to buildkitd's address and install buildctl"
		}
	}
	return f
}
