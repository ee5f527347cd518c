//go:build unix

package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "draw the README's picture again")

// The README's picture and the recording that it is made from. To record
// another run, in the sandbox (`go run ./internal/sandbox/launcher env` says how to
// reach it), with both plugins where gh and kubectl find them:
//
//	go run ./internal/ui/record run -o internal/readme/run.cast -cols 112 -rows 40 -prompt '$ gh sbw publish a6de1e0' -- \
//	  sh -c 'gh sbw publish a6de1e0 && printf "\n$ kubectl sbw rollout --tag a6de1e0\n" && kubectl sbw rollout --tag a6de1e0'
//	go test ./internal/ui/record -update
const (
	recording  = "../../readme/run.cast"
	readmesSVG = "../../readme/run.svg"
)

var readmesOptions = pictureOptions{Title: "one worker, from checkout to cluster", MaxIdle: 700 * time.Millisecond, Frame: 250 * time.Millisecond, End: 8 * time.Second}

// private is what belongs to the machine of the recording and not to a reader.
var private = regexp.MustCompile(`/root|/home/|/tmp/|/work/|/Users/|ghp_|gho_|ghs_`)

func TestTheReadmesPictureIsThatOfItsRecording(t *testing.T) {
	f, err := os.Open(filepath.FromSlash(recording))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	frames, err := readCast(f, readmesOptions)
	if err != nil {
		t.Fatal(err)
	}
	svg := picture(frames, readmesOptions)
	wellFormed(t, svg)
	if *update {
		if err := os.WriteFile(readmesSVG, []byte(svg), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(readmesSVG); err != nil || !bytes.Equal(got, []byte(svg)) {
		t.Errorf("the picture is not that of the recording: go test ./internal/ui/record -update (%v)", err)
	}
	// What a reader shall see: both commands with their results, as they are
	// printed today, and nothing about the machine.
	for _, want := range []string{"$ gh sbw publish ", "publish: done in ", "$ kubectl sbw rollout --tag ", "rollout: done in ", "joelclaw/deployment/system-bus-worker ghcr.io/joelhooks/system-bus-worker:"} {
		if !slices.ContainsFunc(frames, func(f frame) bool { return strings.Contains(f.text, want) }) {
			t.Errorf("%q is in no frame", want)
		}
	}
	for _, f := range frames {
		if found := private.FindString(f.text); found != "" {
			t.Fatalf("the recording shows %q:\n%s", found, f.text)
		}
	}
	if len(svg) > 1<<20 {
		t.Errorf("%d bytes are too many for a page to load", len(svg))
	}
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "](internal/readme/run.svg)") {
		t.Error("the README does not show its picture")
	}
}
