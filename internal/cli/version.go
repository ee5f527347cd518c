package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/release"
)

// versionDocument is what --version prints for programs.
type versionDocument struct {
	Head
	Version   string            `json:"version,omitempty" doc:"the release, or devel"`
	Commit    string            `json:"commit,omitempty" doc:"the commit that it was built from"`
	Dirty     bool              `json:"dirty,omitempty" doc:"whether the checkout had changes"`
	Built     string            `json:"built,omitempty" doc:"the time that the build is dated to"`
	Go        string            `json:"go,omitempty" doc:"the version of Go"`
	Platform  string            `json:"platform,omitempty" doc:"the operating system and architecture"`
	Libraries map[string]string `json:"libraries,omitempty" doc:"the versions of the libraries that talk to GitHub, registries and Kubernetes"`
}

// AddVersion adds --version, and -o for it, to a root that has its RunE: the release,
// its commit, Go, and the libraries that talk to GitHub, registries and Kubernetes.
//
// Cobra's own flag is not used. It would take -v, which kubectl's users know as klog's
// verbosity, and a custom text needs a template: text/template finds methods by name, so
// the linker would keep every method, more than half a megabyte of gh-sbw.
func AddVersion(root *cobra.Command, env *Env) {
	var output string
	asked := root.Flags().Bool("version", false, "print the version, the commit and the libraries built in")
	AddDocument(env, root, &output, func() Document { return &versionDocument{} })
	run := root.RunE
	root.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case *asked:
			i := release.Version()
			env.SetDocument(
				&versionDocument{
					Version:   i.Version,
					Commit:    i.Commit,
					Dirty:     i.Dirty,
					Built:     i.Built,
					Go:        i.Go,
					Platform:  i.Platform,
					Libraries: i.Libraries,
				},
			)
			if IsDocument(output) {
				return nil
			}
			_, err := io.WriteString(c.OutOrStdout(), i.Text(env.Plugin))
			return err
		case output != "":
			return pipeline.UsageErrorf(pipeline.CodeUsage, "name a command, or add --version", "-o %s has no result to print", output)
		}
		return run(c, args)
	}
}

// upgrade is the command with which each plugin's host installs the newest release.
var upgrade = map[string]string{
	"gh sbw":      "gh extension upgrade sbw",
	"kubectl sbw": "kubectl krew upgrade sbw",
}

// releaseNotice returns the line about a newer release, or "". A shell's completion runs
// the program at every key press, so it neither prints the line nor looks for a release.
func releaseNotice(ctx context.Context, env *Env, args []string) string {
	if asksCompletion(args) {
		return ""
	}
	line, _ := release.Hint(ctx, release.HintOptions{
		Running: env.Version,
		Upgrade: upgrade[env.Plugin],
		// Only a terminal has a width.
		Terminal: env.Style(env.Err).Width > 0,
		Getenv:   env.Getenv,
	})
	return line
}
