package main

import (
	"context"
	"fmt"
	"os"

	"github.com/joelhooks/gh-sbw/internal/sandbox/cluster"
	"github.com/joelhooks/gh-sbw/internal/sandbox/daemon"
	"github.com/joelhooks/gh-sbw/internal/sandbox/pki"
)

func main() {
	base := os.Getenv("HOME") + "/.cache/sbw-sandbox"
	ca, err := pki.Open(base + "/run/pki")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	c := &cluster.Cluster{Bin: base + "/bin", Dir: base + "/run/cluster", Set: daemon.Set{Dir: base + "/run/daemons"}, CA: ca, Say: func(f string, a ...any) { fmt.Printf(f+"\n", a...) }}
	switch os.Args[1] {
	case "up":
		err = c.Up(context.Background())
	case "down":
		err = c.Down(context.Background())
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}
