// Command cmd creates a release: `go run ./internal/release/cmd -version v1.2.3`
// fills dist/ with everything that is uploaded. See package dist.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/release/dist"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	o := dist.Options{Log: os.Stderr}
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.StringVar(&o.Version, "version", "", "the release's tag, v1.2.3 (required)")
	flags.StringVar(&o.Root, "root", ".", "the checkout")
	flags.StringVar(&o.Out, "out", "dist", "the directory to fill")
	plugins := flags.String("plugins", "", "build only these, separated by commas: "+strings.Join(dist.Plugins(), ", "))
	targets := flags.String("platforms", "", "build only for these, separated by commas: linux/amd64, ...")
	dirty := flags.Bool("allow-dirty", false, "build a checkout with uncommitted changes; the binaries say so")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	o.Plugins = split(*plugins)
	for _, s := range split(*targets) {
		t, err := dist.ParseTarget(s)
		if err != nil {
			return err
		}
		o.Targets = append(o.Targets, t)
	}
	if err := ofCheckout(ctx, &o); err != nil {
		return err
	}
	if o.Dirty && !*dirty {
		return errors.New("the checkout has uncommitted changes: commit them, or build with -allow-dirty")
	}
	assets, err := dist.Build(ctx, o)
	if err != nil {
		return err
	}
	for _, a := range assets {
		fmt.Printf("%s  %s\n", a.SHA256, a.Name)
	}
	return nil
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// ofCheckout asks git which commit is being built. A source archive is not a git checkout
// and takes its date from SOURCE_DATE_EPOCH
// (https://reproducible-builds.org/specs/source-date-epoch/).
func ofCheckout(ctx context.Context, o *dist.Options) error {
	date := os.Getenv("SOURCE_DATE_EPOCH")
	if _, err := os.Stat(o.Root + "/.git"); err == nil {
		var status string
		for _, q := range []struct {
			to   *string
			args []string
		}{
			{&o.Commit, []string{"rev-parse", "HEAD"}},
			{&status, []string{"status", "--porcelain"}},
		} {
			if *q.to, err = git(ctx, o.Root, q.args...); err != nil {
				return err
			}
		}
		o.Dirty = status != ""
		if date == "" {
			if date, err = git(ctx, o.Root, "log", "-1", "--format=%ct"); err != nil {
				return err
			}
		}
	}
	if date == "" {
		return errors.New("this is not a git checkout, and SOURCE_DATE_EPOCH is not set: set it to the release's time, in seconds since 1970")
	}
	seconds, err := strconv.ParseInt(date, 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %q is not a number of seconds", date)
	}
	o.Date = time.Unix(seconds, 0)
	return nil
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
