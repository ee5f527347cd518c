// Command coredns is CoreDNS with only those plugins that a cluster's DNS
// needs.
//
// The standard main links every provider's cloud client. Naming the plugins
// individually leaves those out and halves the build time. To add a plugin,
// import it here; its place in the order of execution comes from
// dnsserver.Directives. It is built in the module of Kubernetes, because most
// of it is the Kubernetes client, which is then compiled only once for both.
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
