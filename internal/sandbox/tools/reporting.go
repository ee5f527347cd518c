package tools

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// heartbeat is how often the progress of a long command is reported.
const heartbeat = 10 * time.Second

// runReporting runs a command and reports every few seconds what summary makes of
// its latest line. The end of its output becomes part of the error.
func runReporting(cmd *exec.Cmd, say Say, what string, summary func(line string) string) error {
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		s := bufio.NewScanner(r)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			lines <- s.Text()
		}
		_, _ = io.Copy(io.Discard, r) // a line that is too long ends the scanner but not the command
	}()
	done := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		w.Close()
		done <- err
	}()
	begin, tick := time.Now(), time.NewTicker(heartbeat)
	defer tick.Stop()
	var latest string
	var end []string // the last lines
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				if err := <-done; err != nil {
					return fmt.Errorf("%w:\n%s", err, strings.Join(end, "\n"))
				}
				return nil
			}
			if s := summary(line); s != "" {
				latest = s
			}
			const most = 40
			if end = append(end, line); len(end) > most {
				end = end[1:]
			}
		case <-tick.C:
			say("%s: %s (%s)", what, latest, time.Since(begin).Round(time.Second))
		}
	}
}
