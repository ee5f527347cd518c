package forward

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
)

// Kind is the kind of an Address.
type Kind string

// Kinds of addresses, in order of preference: the first ones are meant to be
// reached from outside.
const (
	LoadBalancer Kind = "LoadBalancer"
	ExternalIP   Kind = "external IP"
	ByIngress    Kind = "Ingress"
	NodePort     Kind = "NodePort"
)

// Address is the address of a Service without a port-forward. It is configured, but may not be
// reachable from here.
type Address struct {
	URL  string
	Kind Kind
}

func (a Address) String() string { return fmt.Sprintf("the %s %s", a.Kind, a.URL) }

// maxNodes limits how many nodes are tried: each of them forwards to the
// Service, so one that answers is enough.
const maxNodes = 4

// Direct lists the addresses of a Service outside the cluster; a plain
// ClusterIP has none. Nodes and Ingresses that we may not read are skipped: a
// pod's host is also an address of its node, and in a cluster of one machine so
// is the API server's. Findings: service-unknown, port-unknown and those of
// cluster.Explain.
func Direct(ctx context.Context, conn *cluster.Conn, t Target) ([]Address, error) {
	kube, err := conn.Kube()
	if err != nil {
		return nil, cluster.Explain("connect to the cluster", err)
	}
	svc, err := service(ctx, kube, t)
	if err != nil {
		return nil, err
	}
	port, err := servicePort(svc, t.Port)
	if err != nil {
		return nil, err
	}
	var all []Address
	add := func(kind Kind, host string, number int32) {
		a := Address{URL: schemeOf(port) + "://" + net.JoinHostPort(host, fmt.Sprint(number)), Kind: kind}
		if host != "" && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	for _, in := range svc.Status.LoadBalancer.Ingress {
		add(LoadBalancer, in.IP, port.Port)
		add(LoadBalancer, in.Hostname, port.Port)
	}
	for _, ip := range svc.Spec.ExternalIPs {
		add(ExternalIP, ip, port.Port)
	}
	ingresses, err := kube.NetworkingV1().Ingresses(t.Namespace).List(ctx, metav1.ListOptions{})
	switch {
	case err == nil:
		for i := range ingresses.Items {
			all = append(all, ingressAddresses(&ingresses.Items[i], svc.Name, port)...)
		}
	case !apierrors.IsForbidden(err):
		return nil, cluster.Explain("list the ingresses of namespace "+t.Namespace, err)
	}
	if port.NodePort != 0 {
		hosts, err := nodeHosts(ctx, kube, svc)
		if err != nil {
			return nil, err
		}
		for _, h := range hosts {
			add(NodePort, h, port.NodePort)
		}
		if u, err := url.Parse(conn.Config.Host); err == nil {
			add(NodePort, u.Hostname(), port.NodePort)
		}
	}
	return all, nil
}

func schemeOf(p *corev1.ServicePort) string {
	if p.AppProtocol != nil && *p.AppProtocol == "https" || p.Name == "https" || p.Port == 443 {
		return "https"
	}
	return "http"
}

// ingressAddresses returns the hosts for which an Ingress passes all requests to the Service.
// An Ingress that passes only one path may rewrite it, which controllers configure in
// different ways.
func ingressAddresses(in *networkingv1.Ingress, service string, port *corev1.ServicePort) []Address {
	leads := func(b *networkingv1.IngressBackend) bool {
		return b != nil && b.Service != nil && b.Service.Name == service &&
			(b.Service.Port.Number == port.Port || b.Service.Port.Name != "" && b.Service.Port.Name == port.Name)
	}
	var all []Address
	for _, rule := range in.Spec.Rules {
		if rule.Host == "" || strings.Contains(rule.Host, "*") || rule.HTTP == nil {
			continue
		}
		scheme := "http"
		for _, t := range in.Spec.TLS {
			if slices.Contains(t.Hosts, rule.Host) {
				scheme = "https"
			}
		}
		for _, p := range rule.HTTP.Paths {
			if (p.Path == "/" || p.Path == "") && leads(&p.Backend) {
				all = append(all, Address{URL: scheme + "://" + rule.Host, Kind: ByIngress})
			}
		}
	}
	return all
}

// nodeHosts returns addresses of nodes, ready ones first. If we may not list nodes, it returns
// those of the Service's own pods.
func nodeHosts(ctx context.Context, kube kubernetes.Interface, svc *corev1.Service) ([]string, error) {
	nodes, err := kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err == nil {
		slices.SortStableFunc(nodes.Items, func(a, b corev1.Node) int { return unready(a) - unready(b) })
		var hosts []string
		for _, n := range nodes.Items[:min(maxNodes, len(nodes.Items))] {
			for _, kind := range []corev1.NodeAddressType{corev1.NodeExternalIP, corev1.NodeInternalIP} {
				for _, a := range n.Status.Addresses {
					if a.Type == kind {
						hosts = append(hosts, a.Address)
					}
				}
			}
		}
		return hosts, nil
	}
	if !apierrors.IsForbidden(err) {
		return nil, cluster.Explain("list nodes", err)
	}
	pods, err := kube.CoreV1().
		Pods(svc.Namespace).
		List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(svc.Spec.Selector).String()})
	if apierrors.IsForbidden(err) {
		return nil, nil // the API server's host remains
	}
	if err != nil {
		return nil, cluster.Explain("list the pods of service "+svc.Name, err)
	}
	var hosts []string
	for _, p := range pods.Items {
		if p.Status.HostIP != "" && !slices.Contains(hosts, p.Status.HostIP) && len(hosts) < maxNodes {
			hosts = append(hosts, p.Status.HostIP)
		}
	}
	return hosts, nil
}

func unready(n corev1.Node) int {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return 0
		}
	}
	return 1
}
