package handover_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func TestOnOld(t *testing.T) {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	step := func(name string, after time.Duration) handover.Step {
		return handover.Step{Run: "r", Name: name, Since: at.Add(after)}
	}
	seen := func(s handover.Step) bool { return s.Name == "seen" }
	old := handover.OnOld([]handover.Step{step("late", 3*time.Second), step("after", time.Second), step("before", -time.Minute),
		step("edge", 2*time.Second), step("seen", time.Hour)}, seen, at)
	var names []string
	for _, s := range old {
		names = append(names, s.Name)
	}
	if strings.Join(names, " ") != "before after seen" {
		t.Fatal(names)
	}
}

// drain waits for steps that end by themselves. All times are relative to its start.
func drain(t *testing.T, o handover.DrainOptions, running func(since time.Duration) ([]handover.Step, error)) (left []handover.Step, took time.Duration, err error) {
	t.Helper()
	start := time.Now()
	o.Switched = start
	o.Running = func(context.Context) ([]handover.Step, error) { return running(time.Since(start)) }
	left, err = handover.NewDrainer(o).Wait(t.Context(), pipeline.NewReporter("drain", pipeline.SinkFunc(func(pipeline.Event) {})))
	return left, time.Since(start), err
}

func TestDrain(t *testing.T) {
	// ending returns a step that began before the switch and ends after d.
	ending := func(d time.Duration) func(time.Duration) ([]handover.Step, error) {
		began := time.Now().Add(-time.Minute)
		return func(since time.Duration) ([]handover.Step, error) {
			if since >= d {
				return nil, nil
			}
			return []handover.Step{{Run: "r", Name: "slow", Since: began}}, nil
		}
	}
	t.Run("no step is executing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			left, took, err := drain(t, handover.DrainOptions{}, ending(0))
			if err != nil || len(left) != 0 || took != time.Second {
				t.Fatal(left, took, err)
			}
		})
	})
	t.Run("a list that sometimes omits steps", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began, reading := time.Now().Add(-time.Minute), 0
			_, took, err := drain(t, handover.DrainOptions{}, func(since time.Duration) ([]handover.Step, error) {
				if reading++; since >= time.Minute || reading%3 != 1 {
					return nil, nil
				}
				return []handover.Step{{Run: "r", Name: "slow", Since: began}}, nil
			})
			if err != nil || took < time.Minute-time.Second {
				t.Fatal(took, err)
			}
		})
	})
	t.Run("an old step ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if _, took, err := drain(t, handover.DrainOptions{}, ending(10*time.Minute)); err != nil || took != 10*time.Minute+750*time.Millisecond {
				t.Fatal(took, err)
			}
		})
	})
	t.Run("a new step does not count", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			_, took, err := drain(t, handover.DrainOptions{}, func(since time.Duration) ([]handover.Step, error) {
				if since < time.Second {
					return nil, nil
				}
				return []handover.Step{{Run: "r", Name: "new", Since: began.Add(5 * time.Second)}}, nil
			})
			if err != nil || took != time.Second {
				t.Fatal(took, err)
			}
		})
	})
	t.Run("a step that ran during the switch counts whatever the clocks say", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now().Add(time.Hour)
			_, took, err := drain(t, handover.DrainOptions{}, func(since time.Duration) ([]handover.Step, error) {
				if since >= time.Minute {
					return nil, nil
				}
				return []handover.Step{{Run: "r", Name: "slow", Since: began}}, nil
			})
			if err != nil || took != time.Minute+750*time.Millisecond {
				t.Fatal(took, err)
			}
		})
	})
	t.Run("the server's clock is ahead", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now().Add(time.Hour - time.Minute) // a minute before the switch
			_, took, err := drain(t, handover.DrainOptions{Offset: time.Hour}, func(since time.Duration) ([]handover.Step, error) {
				if since >= 20*time.Second {
					return nil, nil
				}
				return []handover.Step{{Run: "r", Name: "slow", Since: began}}, nil
			})
			if err != nil || took.Round(time.Second) != 21*time.Second {
				t.Fatal(took, err)
			}
		})
	})
	t.Run("timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			left, took, err := drain(t, handover.DrainOptions{Timeout: time.Minute}, ending(time.Hour))
			f, ok := errors.AsType[*pipeline.Finding](err)
			if !ok || f.Code != handover.CodeDrain || len(left) != 1 || len(f.Evidence) != 1 || took != time.Minute {
				t.Fatal(left, took, err)
			}
		})
	})
	t.Run("a server that does not answer is not idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			away := errors.New("connection refused")
			_, took, err := drain(t, handover.DrainOptions{Timeout: time.Minute}, func(since time.Duration) ([]handover.Step, error) { return nil, away })
			if !errors.Is(err, away) || took != time.Minute {
				t.Fatal(took, err)
			}
			_, took, err = drain(t, handover.DrainOptions{Timeout: time.Minute}, func(since time.Duration) ([]handover.Step, error) {
				if since < 30*time.Second {
					return nil, away
				}
				return nil, nil
			})
			if err != nil || took.Round(time.Second) != 31*time.Second {
				t.Fatal(took, err)
			}
		})
	})
	t.Run("a request that the timeout cuts off says nothing about the server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			step := handover.Step{Run: "r", Name: "slow", Since: time.Now().Add(-time.Minute)}
			d := handover.NewDrainer(handover.DrainOptions{Switched: time.Now(), Timeout: time.Minute, Running: func(ctx context.Context) ([]handover.Step, error) {
				select {
				case <-time.After(40 * time.Second):
					return []handover.Step{step}, nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}})
			left, err := d.Wait(t.Context(), nil)
			if f, ok := errors.AsType[*pipeline.Finding](err); !ok || len(left) != 1 || f.What != "1 step is still executing on the old pods after 1m0s" {
				t.Fatal(left, err)
			}
		})
	})
	t.Run("Observe shortens Wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			// A step that reached an old pod during the switch is known from then on.
			start := time.Now()
			d := handover.NewDrainer(handover.DrainOptions{Switched: start, Running: func(context.Context) ([]handover.Step, error) {
				if time.Since(start) > 20*time.Second {
					return nil, nil
				}
				return []handover.Step{{Run: "r", Name: "slow", Since: start.Add(time.Hour)}}, nil
			}})
			during, over := context.WithTimeout(t.Context(), 10*time.Second)
			defer over()
			d.Observe(during)
			if left, err := d.Wait(t.Context(), nil); err != nil || len(left) != 0 || time.Since(start).Round(time.Second) != 21*time.Second {
				t.Fatal(left, time.Since(start), err)
			}

			start = time.Now()
			d = handover.NewDrainer(handover.DrainOptions{Switched: start, Running: func(context.Context) ([]handover.Step, error) { return nil, nil }})
			during, over = context.WithTimeout(t.Context(), 5*time.Second)
			defer over()
			d.Observe(during)
			if _, err := d.Wait(t.Context(), nil); err != nil || time.Since(start) != 5*time.Second {
				t.Fatal(time.Since(start), err)
			}
		})
	})
	t.Run("the context ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			why := errors.New("somebody pressed a key")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(5*time.Second, func() { cancel(why) })
			running := ending(time.Hour)
			d := handover.NewDrainer(handover.DrainOptions{Switched: time.Now(), Timeout: time.Minute, Running: func(context.Context) ([]handover.Step, error) { return running(0) }})
			_, err := d.Wait(ctx, nil)
			if !errors.Is(err, why) {
				t.Fatal(err)
			}
		})
	})
}

func TestBake(t *testing.T) {
	minute := time.Minute
	for _, test := range []struct {
		name          string
		before, after handover.Sample
		back          bool
	}{
		{"quiet", handover.Sample{Over: minute}, handover.Sample{Over: minute}, false},
		{"as many failures as before", handover.Sample{Over: minute, FailedRuns: 3}, handover.Sample{Over: minute, FailedRuns: 3}, false},
		{"fewer", handover.Sample{Over: minute, FailedRuns: 3}, handover.Sample{Over: minute}, false},
		{"one more", handover.Sample{Over: minute, FailedRuns: 3}, handover.Sample{Over: minute, FailedRuns: 4}, true},
		{"the first", handover.Sample{Over: minute}, handover.Sample{Over: minute, FailedRuns: 1}, true},
		{"restart", handover.Sample{Over: minute, Restarts: 5}, handover.Sample{Over: minute, Restarts: 1}, true},
		{"a single failed probe", handover.Sample{}, handover.Sample{Unready: 10 * time.Second}, false},
		{"not Ready for a long time", handover.Sample{}, handover.Sample{Unready: 15 * time.Second}, true},
	} {
		if why := handover.Bake(test.before, test.after); (why != "") != test.back {
			t.Errorf("%s: %q", test.name, why)
		}
	}
}

// Requests may reach the pods that a Service pointed to until a second after its switch.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		switched := time.Now()
		if err := handover.Settle(t.Context(), switched); err != nil || time.Since(switched) != time.Second {
			t.Errorf("%v after %s", err, time.Since(switched))
		}
		if err := handover.Settle(t.Context(), switched); err != nil || time.Since(switched) != time.Second {
			t.Errorf("it waits again: %v after %s", err, time.Since(switched))
		}
	})
}
