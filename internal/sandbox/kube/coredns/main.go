// Command coredns is CoreDNS with the few plugins that a cluster's DNS takes.
//
// The stock main links every provider's cloud client; naming the plugins one
// by one leaves those out and halves the build. To add one, import it here:
// its place in the order of execution comes from dnsserver.Directives. It is
// built in the module of Kubernetes, whose client is most of what it is made of
// and is compiled once for both.
package main

import (
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
)

func main() { coremain.Run() }
