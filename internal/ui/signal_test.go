//go:build unix

package ui

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/sys/unix"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/ui/vt"
)

// actEnv makes the test's binary act as a program on a terminal.
const actEnv = "SBW_UI_TEST_ACT"

func TestMain(m *testing.M) {
	switch os.Getenv(actEnv) {
	case "":
		os.Exit(m.Run())
	case "plugin":
		actPlugin(false)
	case "panic":
		actPlugin(true)
	case "shell":
		if err := actShell(); err != nil {
			fmt.Println("shell:", err)
			os.Exit(1)
		}
	}
}

// actPlugin shows a run that continues until a signal.
func actPlugin(panics bool) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	u := New(FromEnv(os.Stderr, Flags{Program: "gh sbw"}))
	defer func() { _ = u.Stop() }()
	o := pipeline.Run(ctx, pipeline.Pipeline{Name: "publish", Stages: []pipeline.Stage{{
		Name: "push",
		Run: func(ctx context.Context, r *pipeline.Reporter) error {
			r.Detailf("ready")
			<-ctx.Done()
			if panics {
				panic("out of luck")
			}
			return pipeline.ErrInterrupted
		},
	}}}, u)
	o.Interrupted = true
	if err := u.Close(o); err != nil {
		panic(err)
	}
}

// actShell is as much of a shell as ^Z needs: a job in the foreground, reported
// when it stops, continued after a line of input.
func actShell() error {
	signal.Ignore(syscall.SIGTTOU)
	job := exec.Command(os.Args[0])
	job.Env = append(os.Environ(), actEnv+"=plugin")
	job.Stdin, job.Stdout, job.Stderr = os.Stdin, os.Stdout, os.Stderr
	job.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Foreground: true, Ctty: 0}
	if err := job.Start(); err != nil {
		return err
	}
	in := bufio.NewReader(os.Stdin)
	for {
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(job.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil {
			return err
		}
		if err := unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, syscall.Getpgrp()); err != nil {
			return err
		}
		if !status.Stopped() {
			fmt.Println("shell: the job ended")
			return nil
		}
		fmt.Println("shell: the job stopped")
		if _, err := in.ReadString('\n'); err != nil {
			return err
		}
		if err := unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, job.Process.Pid); err != nil {
			return err
		}
		if err := syscall.Kill(-job.Process.Pid, syscall.SIGCONT); err != nil {
			return err
		}
	}
}

// act starts the test's binary on a terminal.
func act(t *testing.T, as string) *vt.Terminal {
	t.Helper()
	term, err := vt.Open(80, 24, nil)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{actEnv + "=" + as, "TERM=xterm", "LANG=C.UTF-8", "GOCOVERDIR=" + t.TempDir()}
	if err := term.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = term.Close()
	})
	return term
}

func await(t *testing.T, term *vt.Terminal, what string, ok func(screen string, raw []byte) bool) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	screen, err := term.Wait(ctx, ok)
	if err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
	return screen
}

func shows(text string) func(string, []byte) bool {
	return func(screen string, _ []byte) bool { return strings.Contains(screen, text) }
}

func keys(t *testing.T, term *vt.Terminal, k string) {
	t.Helper()
	if err := term.Type(k); err != nil {
		t.Fatal(err)
	}
}

func ended(t *testing.T, term *vt.Terminal) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	screen, err := term.WaitEnd(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, visible := term.Cursor(); !visible {
		t.Errorf("the cursor is hidden after the end")
	}
	if n, m := bytes.Count(term.Raw(), []byte(ansi.SetModeSynchronizedOutput)), bytes.Count(term.Raw(), []byte(ansi.ResetModeSynchronizedOutput)); n != m {
		t.Errorf("%d synchronised updates were begun, %d ended", n, m)
	}
	return screen
}

const interrupted = "✗ publish was interrupted at push after "

// TestInterrupt: ^C comes as a signal, though a view is on the terminal, and
// nothing of the view is left.
func TestInterrupt(t *testing.T) {
	term := act(t, "plugin")
	await(t, term, "the view", shows("ready"))
	keys(t, term, "\x03")
	if screen := ended(t, term); !strings.HasPrefix(screen, interrupted) || strings.Contains(screen, "\n") {
		t.Errorf("screen:\n%s", screen)
	}
}

// TestPanic: the trace of a panic is readable and the cursor is back.
func TestPanic(t *testing.T) {
	term := act(t, "panic")
	await(t, term, "the view", shows("ready"))
	keys(t, term, "\x03")
	ended(t, term)
	if raw := string(term.Raw()); !strings.Contains(raw, "panic: out of luck") || strings.Contains(raw, interrupted) {
		t.Errorf("output:\n%s", raw)
	}
}

// TestSuspend: ^Z leaves a tidy terminal to the shell, and fg brings the view
// back.
func TestSuspend(t *testing.T) {
	term := act(t, "shell")
	await(t, term, "the view", shows("ready"))
	keys(t, term, "\x1a")
	screen := await(t, term, "the shell", shows("shell: the job stopped"))
	if strings.Contains(screen, "ready") {
		t.Errorf("the view is left behind:\n%s", screen)
	}
	if _, _, visible := term.Cursor(); !visible {
		t.Error("the cursor is hidden in the shell")
	}
	keys(t, term, "fg\n")
	await(t, term, "the view again", shows("ready"))
	keys(t, term, "\x03")
	screen = ended(t, term)
	if !strings.Contains(screen, "shell: the job stopped\nfg\n"+interrupted) || !strings.HasSuffix(screen, "\nshell: the job ended") {
		t.Errorf("screen:\n%s", screen)
	}
}

// TestSuspendWithoutShell: where nobody could continue it, ^Z stops nothing.
func TestSuspendWithoutShell(t *testing.T) {
	term := act(t, "plugin")
	before := await(t, term, "the view", shows("ready"))
	keys(t, term, "\x1a")
	await(t, term, "a later view", func(screen string, raw []byte) bool {
		return strings.Contains(screen, "ready") && !strings.Contains(screen, "^Z") && screen != before
	})
	keys(t, term, "\x03")
	ended(t, term)
}
