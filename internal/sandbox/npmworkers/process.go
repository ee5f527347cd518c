package npmworkers

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"github.com/joelhooks/gh-sbw/internal/sandbox/ports"
)

// Options describe which worker to run, and how.
type Options struct {
	Dir  string   // where Install has put the workers
	Name string   // SDK3 or SDK4
	Argv []string // Bun or Node; empty means Bun
	// the port to listen on at 127.0.0.1; 0 means a free one
	Port int
	// Env is added to PATH and HOME, which are the only variables that the
	// worker inherits: INNGEST_APP_ID, INNGEST_SIGNING_KEY, FUNCTIONS,
	// SLOW_MS, …
	// $PORT in a value stands for the port.
	Env map[string]string
}

// Line is one line that a worker logs about itself.
type Line struct {
	At         int64  `json:"at"` // Unix milliseconds
	PID        int    `json:"pid"`
	Listening  bool   `json:"listening"`
	SDK        string `json:"sdk"`
	Step       string `json:"step"`
	State      string `json:"state"` // began or ended
	Run        string `json:"run"`
	Attempt    int    `json:"attempt"`
	Failure    string `json:"failure"`
	Registered string `json:"registered"`
}

// Process is a running worker.
type Process struct {
	Port int
	cmd  *exec.Cmd
	gone chan struct{}

	mu      sync.Mutex
	lines   []Line
	changed chan struct{} // closed and replaced with every line
	rest    strings.Builder
}

// Start runs a worker and returns when it listens. The worker ends with the
// context.
func Start(ctx context.Context, o Options) (*Process, error) {
	if o.Port != 0 {
		return start(ctx, o)
	}
	port, err := ports.Reserve()
	if err != nil {
		return nil, err
	}
	o.Port = port.Number
	p, err := start(ctx, o)
	if err != nil {
		return nil, errors.Join(err, port.Release())
	}
	go func() {
		<-p.gone
		_ = port.Release() // nobody else releases it
	}()
	return p, nil
}

func start(ctx context.Context, o Options) (*Process, error) {
	argv := o.Argv
	if len(argv) == 0 {
		argv = []string{Bun(o.Dir)}
	}
	p := &Process{Port: o.Port, gone: make(chan struct{}), changed: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, argv[0], append(argv[1:], Main(o.Dir, o.Name))...)
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "PORT=" + strconv.Itoa(o.Port)}
	for k, v := range o.Env {
		p.cmd.Env = append(p.cmd.Env, k+"="+strings.ReplaceAll(v, "$PORT", strconv.Itoa(o.Port)))
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stderr = writerFunc(func(b []byte) { p.keep(string(b)) })
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.read(out)
	if _, err := p.Await(ctx, func(l Line) bool { return l.Listening }); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }

func (p *Process) read(out io.Reader) {
	sc := bufio.NewScanner(out)
	for sc.Scan() {
		var l Line
		if json.Unmarshal(sc.Bytes(), &l) != nil {
			p.keep(sc.Text() + "\n") // it is a warning of the runtime
			continue
		}
		p.mu.Lock()
		p.lines = append(p.lines, l)
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
	}
	_ = p.cmd.Wait() // it was killed on purpose, so this is not an error
	close(p.gone)
}

func (p *Process) keep(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest.WriteString(text)
}

// Output returns the worker's output except its lines.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rest.String()
}

// Lines returns all lines so far.
func (p *Process) Lines() []Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Line(nil), p.lines...)
}

// Await returns the first line, past or future, that matches.
func (p *Process) Await(ctx context.Context, wanted func(Line) bool) (Line, error) {
	for seen := 0; ; {
		p.mu.Lock()
		lines, changed := p.lines[seen:], p.changed
		p.mu.Unlock()
		for _, l := range lines {
			if wanted(l) {
				return l, nil
			}
		}
		seen += len(lines)
		select {
		case <-changed:
		case <-p.gone:
			p.mu.Lock()
			more := len(p.lines) > seen
			p.mu.Unlock()
			if !more {
				return Line{}, errors.New("the worker ended: " + p.Output())
			}
		case <-ctx.Done():
			return Line{}, fmt.Errorf("%w: the worker said %s", context.Cause(ctx), p.Output())
		}
	}
}

// Began returns when the worker has begun a step with that name.
func (p *Process) Began(ctx context.Context, step string) (Line, error) {
	return p.Await(ctx, func(l Line) bool { return l.Step == step && l.State == "began" })
}

// URL returns the worker's address without a path.
func (p *Process) URL() string { return "http://127.0.0.1:" + strconv.Itoa(p.Port) }

// Kill kills the worker in the middle of its work, as the loss of its node
// would, and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it is fine if it has already ended
	<-p.gone
}
