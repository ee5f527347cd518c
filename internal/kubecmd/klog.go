package kubecmd

import (
	"fmt"
	"strconv"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"github.com/joelhooks/gh-sbw/internal/cli"
)

// maxLogLevel is the highest -v there is. From 8 on client-go writes the bodies
// of requests and answers, Secrets' too, and no log of this program holds one.
const maxLogLevel = 7

// klogger is what klog writes through, by which client-go and its relatives log, with
// klog's flag -v, which kubectl's users know.
type klogger struct {
	env    *cli.Env
	config *textlogger.Config
	level  int
}

func newKlogger(env *cli.Env) *klogger {
	return &klogger{env: env, config: textlogger.NewConfig(textlogger.Output(env.Log()))}
}

// install makes klog write where env prints the run: never between the lines of a
// live view, and not at all unless --verbose or -v asks for it. klog has one
// logger for the whole process, so that this is for Main.
func (l *klogger) install() *klogger {
	klog.SetLogger(textlogger.NewLogger(l.config))
	return l
}

func (l *klogger) addFlag(f *pflag.FlagSet) {
	f.VarP(l, "v", "v", fmt.Sprintf("print what client-go logs, up to this level (6: each request, %d: its headers)", maxLogLevel))
}

// String, Type and Set make it the value of the flag.
func (l *klogger) String() string { return strconv.Itoa(l.level) }

// Type is how help calls the value.
func (l *klogger) Type() string { return "int" }

// Set takes effect at once, as klog's own flag does.
func (l *klogger) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > maxLogLevel {
		return fmt.Errorf("use 0 to %d; above that the bodies of Secrets would be written", maxLogLevel)
	}
	l.level, l.env.Mode.Logs = n, n > 0
	if err := l.config.Verbosity().Set(s); err != nil {
		return err
	}
	var global klog.Level
	return global.Set(s)
}
