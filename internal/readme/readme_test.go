// Package readme keeps the README in step with the programs: the
// commands and flags that it shows exist, its configuration is read by the same
// reader as a user's, and it must stay short enough to be read.
package readme

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/ghcmd"
	"github.com/joelhooks/gh-sbw/internal/kubecmd"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

const path = "../../README.md"

// commandLine matches a command of one of the plugins, up to the end of the code
// that it is in.
var commandLine = regexp.MustCompile("(gh|kubectl) sbw ([^`\n|]+)")

// TestCommandsAndFlagsExist looks up every command and flag that the README
// shows. The complete lists are in --help and are not repeated there.
func TestCommandsAndFlagsExist(t *testing.T) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{}
	roots := map[string]*cobra.Command{}
	for plugin, newRoot := range map[string]func(*cli.Env) *cobra.Command{"gh": ghcmd.NewRoot, "kubectl": kubecmd.NewRoot} {
		roots[plugin] = newRoot(&cli.Env{Plugin: plugin + " sbw", Getenv: func(string) string { return "" }})
		collectFlags(roots[plugin], flags)
	}
	found := commandLine.FindAllStringSubmatch(string(text), -1)
	if len(found) < 20 {
		t.Fatalf("only %d commands found: the README is written in another form now", len(found))
	}
	for _, m := range found {
		word, _, _ := strings.Cut(m[2], " ")
		if strings.HasPrefix(word, "-") || strings.Contains(word, "…") {
			continue
		}
		word = strings.TrimRight(word, ".,;:)")
		if c, _, err := roots[m[1]].Find([]string{word}); err != nil || c == roots[m[1]] {
			t.Errorf("the README shows %q, and there is no command %q", m[0], word)
		}
	}
	for _, m := range regexp.MustCompile("`(--[a-z][a-z-]+)").FindAllStringSubmatch(string(text), -1) {
		if !flags[m[1]] {
			t.Errorf("the README names the flag %s, which no command has", m[1])
		}
	}
}

func collectFlags(c *cobra.Command, into map[string]bool) {
	add := func(f *pflag.Flag) { into["--"+f.Name] = true }
	c.LocalFlags().VisitAll(add)
	c.PersistentFlags().VisitAll(add)
	into["--help"], into["--version"] = true, true
	for _, sub := range c.Commands() {
		collectFlags(sub, into)
	}
}

// TestTheReadmeIsShort keeps the README readable from top to bottom in one go.
// What only contributors need belongs into .github/CONTRIBUTING.md.
func TestTheReadmeIsShort(t *testing.T) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("\n")); n > 250 {
		t.Errorf("the README has %d lines, and 250 are the limit", n)
	}
}

func TestConfigurationIsValid(t *testing.T) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	shown := strings.Split(string(text), "```yaml\nworkers:")[1:]
	if len(shown) != 2 {
		t.Fatalf("the README shows %d configurations", len(shown))
	}
	for i, rest := range shown {
		body, _, ok := strings.Cut(rest, "```")
		c, err := worker.Parse(worker.ConfigName, []byte("workers:"+body))
		if !ok || err != nil {
			t.Fatalf("configuration %d: %v", i+1, err)
		}
		for _, name := range c.Names() {
			if _, err := c.Worker(name); err != nil {
				t.Errorf("configuration %d: %v", i+1, err)
			}
		}
		if i == 0 {
			if _, err := c.Worker(worker.DefaultName); err != nil {
				t.Error(err)
			}
		}
	}
	if !bytes.Contains(text, []byte("go run ./internal/sandbox/cmd demo")) || !bytes.Contains(text, []byte("go run ./internal/sandbox/cmd test")) {
		t.Error("the README has lost one of its two commands")
	}
}
