package source

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestTry(t *testing.T) {
	for range 2 {
		s := time.Now()
		p, err := New(Options{Root: "/tmp/catalog-real", Words: []string{"createFunction"}})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("new", time.Since(s))
		err = p.Add(context.Background(), p.root+"/packages/system-bus/src/inngest/functions/index.cluster.ts", p.root+"/packages/system-bus/src/inngest/functions/index.host.ts")
		fmt.Println(time.Since(s), err, len(p.files))
		n := 0
		for _, f := range p.files {
			if f.module != nil {
				n++
			}
			if f.bad != nil || f.err != nil || f.scan.tooDeep > 0 {
				fmt.Println(f.path, f.bad, f.err, f.scan.tooDeep)
			}
			for s, t := range f.targets {
				if t.Missing != "" {
					fmt.Println(f.path, s, t)
				}
			}
		}
		fmt.Println("parsed", n)
	}
}
