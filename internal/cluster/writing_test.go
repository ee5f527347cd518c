package cluster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWriting(t *testing.T) {
	interrupted := errors.New("interrupted")
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancelCause(t.Context())
		writing, done := Writing(ctx)
		ended, doneToo := Writing(ctx)
		doneToo()
		<-ended.Done() // when the request has ended, nothing is left of it
		start := time.Now()
		interrupt(interrupted)
		synctest.Wait()
		if writing.Err() != nil {
			t.Error("the interrupt cuts the request off")
		}
		<-writing.Done()
		if after := time.Since(start); after != answerWithin || !errors.Is(context.Cause(writing), interrupted) {
			t.Errorf("ended after %s: %v", after, context.Cause(writing))
		}
		done()
		never, done := Writing(ctx)
		defer done()
		if !errors.Is(context.Cause(never), interrupted) {
			t.Error("a write begins after the interrupt")
		}
	})
}
