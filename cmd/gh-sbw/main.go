// Command gh-sbw is the gh extension `gh sbw`.
package main

import (
	"os"

	"github.com/joelhooks/gh-sbw/internal/ghcmd"
)

func main() { os.Exit(ghcmd.Main()) }
