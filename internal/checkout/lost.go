package checkout

import (
	"context"
	"errors"
	"strconv"
	"strings"
)

// ErrUnknownCommit means that commits cannot be compared: this checkout lacks
// one of them, or there is no checkout.
var ErrUnknownCommit = errors.New("this checkout does not have the commit")

// maxLost limits how many commits are listed.
const maxLost = 20

// Lost returns the commits that running contains but next does not, which a
// rollout of next would remove. They are sorted newest first, each with its short
// hash and subject. There are none if next descends from running. The error is
// ErrUnknownCommit or the context's.
func Lost(ctx context.Context, o Options, running, next string) ([]string, error) {
	g, err := newGit(o)
	if err != nil {
		return nil, ErrUnknownCommit
	}
	for _, commit := range []string{running, next} {
		// The labels of an image are untrusted: they must not be taken for an option or
		// a range.
		if !isHash(commit) {
			return nil, ErrUnknownCommit
		}
		if _, err := g.run(ctx, "cat-file", "-e", commit+"^{commit}"); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, ErrUnknownCommit
		}
	}
	out, err := g.run(
		ctx,
		"log",
		"--no-show-signature",
		"--no-decorate",
		"--format=%h %s",
		"--max-count="+strconv.Itoa(maxLost),
		next+".."+running,
		"--",
	)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, ErrUnknownCommit
	}
	return strings.FieldsFunc(out, func(r rune) bool { return r == '\n' }), nil
}

func isHash(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}
