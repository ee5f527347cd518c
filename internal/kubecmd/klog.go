package kubecmd

import (
	"fmt"
	"strconv"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"github.com/joelhooks/gh-sbw/internal/cli"
)

// maxLogLevel is the highest level that -v accepts. From level 8, client-go logs the
// bodies of requests and responses, including Secrets, which must never be logged.
const maxLogLevel = 7

// klogger directs klog, which client-go and related libraries log through, to env's
// log. It is also the value of klog's flag -v, which kubectl's users know.
type klogger struct {
	env    *cli.Env
	config *textlogger.Config
	level  int
}

func newKlogger(env *cli.Env) *klogger {
	return &klogger{env: env, config: textlogger.NewConfig(textlogger.Output(env.Log()))}
}

// install makes klog write where env prints the run: never between the lines of a
// live view, and not at all unless --verbose or -v is given. klog has one logger for
// the whole process, so only Main calls this.
func (l *klogger) install() *klogger {
	klog.SetLogger(textlogger.NewLogger(l.config))
	return l
}

func (l *klogger) addFlag(f *pflag.FlagSet) {
	f.VarP(l, "v", "v", fmt.Sprintf("print what client-go logs, up to this level (6: each request, %d: its headers)", maxLogLevel))
}

// String implements pflag.Value.
func (l *klogger) String() string { return strconv.Itoa(l.level) }

// Type returns the name of the value in help.
func (l *klogger) Type() string { return "int" }

// Set takes effect immediately, as klog's own flag does.
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
