package ghcmd

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// asExtension makes the test binary itself the extension, so that a real shell and a real
// gh can run it without another build.
const asExtension = "SBW_TEST_AS_EXTENSION"

func init() {
	if os.Getenv(asExtension) != "" {
		os.Exit(Main())
	}
}

func TestCompletion(t *testing.T) {
	for words, want := range map[string]string{
		"publish --worker ":   "alpha\nbeta\n",
		"publish --builder ":  "auto\nbuildx\nbuildkit\ndocker\npodman\nbuildah\nnerdctl\n",
		"publish --platform ": "linux/arm64\nlinux/amd64\n",
		"publish -o ":         "name\ndigest\njson\nyaml\n",
		"publish --secret ":   "id=\n",
		"tags ":               "",
	} {
		env, out, errs := testEnv(t, "workers:\n  beta: {}\n  alpha: {}\n")
		code := cli.Execute(t.Context(), env, NewRoot(env), append([]string{"__complete"}, strings.Split(words, " ")...))
		got, _, _ := strings.Cut(":\n"+out.String(), "\n:")
		if got = strings.TrimPrefix(got+"\n", ":\n"); code != 0 || got != want {
			t.Errorf("%q: %q, want %q; exit code %d, %s", words, got, want, code, errs)
		}
	}
}

// TestBashCompletes has the real bash complete `gh sbw`, which the real gh completes only
// up to the extension's name.
func TestBashCompletes(t *testing.T) {
	gh, bash := require.Tool(t, "gh"), require.Tool(t, "bash")
	env, _, _ := testEnv(t, "workers:\n  beta: {}\n  alpha: {}\n")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	extension := filepath.Join(env.Dir, "data", "gh", "extensions", "gh-sbw")
	if err := os.MkdirAll(extension, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(extension, "gh-sbw")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bash, "--norc", "-c", `
. /usr/share/bash-completion/bash_completion
. <(gh sbw completion bash)
line() {
	COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; COMP_KEY=9
	COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()
	__gh_with_sbw gh "${@: -1}"
	echo "${COMPREPLY[@]}"
}
line gh sbw publish --worker ""
line gh sbw publi
line gh sbw explain exec-for
line gh rele
`)
	var said bytes.Buffer
	cmd.Dir, cmd.Stderr = env.Dir, &said
	cmd.Env = append(os.Environ(), asExtension+"=1", "HOME="+env.Dir, "XDG_DATA_HOME="+filepath.Join(env.Dir, "data"), "XDG_CONFIG_HOME="+filepath.Join(env.Dir, "config"),
		"GH_TOKEN=none", "GH_NO_UPDATE_NOTIFIER=1", "PATH="+filepath.Dir(gh)+":"+os.Getenv("PATH"))
	out, err := cmd.Output()
	const want = "alpha beta\npublish\nexec-format\nrelease\n"
	if got := strings.ReplaceAll(string(out), " \n", "\n"); err != nil || got != want {
		t.Errorf("%q, want %q; %v\n%s", got, want, err, said.String())
	}
}
