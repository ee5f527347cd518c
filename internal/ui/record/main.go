// Record makes a picture of a real run: it runs a command on a pseudo-terminal,
// records its output with the times, and draws that as an SVG.
//
//	go run ./internal/ui/record run -o run.cast -- gh sbw publish
//	go run ./internal/ui/record svg -i run.cast -o .github/run.svg
//
// The recording is an asciicast of version 2, which asciinema also plays. The
// same recording always gives the same SVG, so the picture changes only if the
// run changes. The picture is one file without scripts or fonts; it plays in a
// loop, and for readers who prefer reduced motion it shows the last frame.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"github.com/joelhooks/gh-sbw/internal/ui/vt"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "run":
			return record(ctx, args[1:])
		case "svg":
			return draw(args[1:])
		}
	}
	return errors.New("use `record run -o FILE -- COMMAND …` or `record svg -i FILE -o FILE`")
}

// record runs a command and writes its recording.
func record(ctx context.Context, args []string) (err error) {
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	out := f.String("o", "", "the recording to write")
	cols, rows := f.Int("cols", 96, "columns"), f.Int("rows", 24, "rows")
	prompt := f.String("prompt", "", "a line that the recording begins with, such as \"$ gh sbw publish\"")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *out == "" || f.NArg() == 0 {
		return errors.New("run needs -o FILE and a command")
	}
	file, err := os.Create(*out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	cast, err := newCast(file, *cols, *rows)
	if err != nil {
		return err
	}
	if *prompt != "" {
		cast.output(0, []byte(*prompt+"\r\n"))
	}
	begin := time.Now()
	term, err := vt.Open(*cols, *rows, func(p []byte) { cast.output(time.Since(begin), p) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, term.Close()) }()
	cmd := exec.CommandContext(ctx, f.Arg(0), f.Args()[1:]...)
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "CI=")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := term.Start(cmd); err != nil {
		return err
	}
	if _, err := term.WaitEnd(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	// A run that fails is also worth showing.
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return cast.err
}

// draw makes the picture of a recording.
func draw(args []string) (err error) {
	f := flag.NewFlagSet("svg", flag.ContinueOnError)
	in, out := f.String("i", "", "the recording"), f.String("o", "", "the picture to write")
	var o pictureOptions
	f.StringVar(&o.Title, "title", "", "the window's title")
	f.BoolVar(&o.Still, "still", false, "only the last frame")
	f.DurationVar(&o.MaxIdle, "max-idle", 2*time.Second, "shorten longer stretches without change")
	f.DurationVar(&o.Frame, "frame", 150*time.Millisecond, "the least time between two frames")
	f.DurationVar(&o.End, "end", 6*time.Second, "how long the last frame is shown")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *in == "" || *out == "" {
		return errors.New("svg needs -i FILE and -o FILE")
	}
	src, err := os.Open(*in)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	frames, err := readCast(src, o)
	if err != nil {
		return fmt.Errorf("%s: %w", *in, err)
	}
	file, err := os.Create(*out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = io.WriteString(file, picture(frames, o))
	return err
}
