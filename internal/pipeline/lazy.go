package pipeline

import (
	"context"
	"sync"
	"sync/atomic"
)

// Lazy is a fact that several checks and stages need and that is found only once, with
// the context of the first caller. An error is kept too.
type Lazy[T any] struct {
	once  sync.Once
	find  func(context.Context) (T, error)
	found atomic.Bool
	val   T
	err   error
}

// NewLazy returns a Lazy whose fact is found by find.
func NewLazy[T any](find func(context.Context) (T, error)) *Lazy[T] { return &Lazy[T]{find: find} }

// Get returns the fact. The first call finds it.
func (l *Lazy[T]) Get(ctx context.Context) (T, error) {
	l.once.Do(func() {
		l.val, l.err = l.find(ctx)
		l.found.Store(true)
	})
	return l.val, l.err
}

// Peek returns the fact if Get has found it, and does not look for it. An
// error that was found is not a fact: ok is false.
func (l *Lazy[T]) Peek() (val T, ok bool) {
	if !l.found.Load() || l.err != nil {
		return val, false
	}
	return l.val, true
}

// Err returns the error that Get has found, or nil.
func (l *Lazy[T]) Err() error {
	if !l.found.Load() {
		return nil
	}
	return l.err
}
