// Command kubectl-sbw is the kubectl plugin `kubectl sbw`.
package main

import (
	"os"

	"github.com/joelhooks/gh-sbw/internal/kubecmd"
)

func main() { os.Exit(kubecmd.Main()) }
