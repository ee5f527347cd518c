package cluster

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/joelhooks/gh-sbw/internal/waiting"
)

// answerWithin is how long the answer to a write may take after an interrupt, and how long
// to look for what a write without an answer has done.
const answerWithin = 10 * time.Second

// Writing returns the context of a request that changes an object. An interrupt prevents
// such a request, but does not cut one off: the API server carries out what it has
// received, and a run that did not wait for the answer would not know what it has to undo.
// The context ends 10 seconds after ctx, and the caller must call the function when the
// request has ended.
func Writing(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() != nil {
		return ctx, func() {}
	}
	writing, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	go func() {
		select {
		case <-writing.Done():
		case <-ctx.Done():
			if waiting.For(writing, answerWithin) == nil {
				cancel(context.Cause(ctx))
			}
		}
	}()
	return writing, func() { cancel(nil) }
}

// Looking returns the context for finding out what a write without an answer has done. An
// interrupt does not end it; it ends after 10 seconds.
func Looking(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
}

// Answered reports whether an error is the API server's answer to a request. After any other
// error, such as that of a connection that broke, it may have carried out the request.
func Answered(err error) bool {
	var answer apierrors.APIStatus
	return errors.As(err, &answer) && !apierrors.IsTimeout(err) && !apierrors.IsServerTimeout(err)
}
