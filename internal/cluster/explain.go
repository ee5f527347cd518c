package cluster

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// The codes of this package's findings.
const (
	CodeKubeconfig     pipeline.Code = "kubeconfig"
	CodeContextUnknown pipeline.Code = "context-unknown"
	CodeUnauthorized   pipeline.Code = "cluster-unauthorized"
	CodeForbidden      pipeline.Code = "cluster-forbidden"
	CodeNotFound       pipeline.Code = "not-found"
	CodeInvalid        pipeline.Code = "invalid"
	CodeBusy           pipeline.Code = "cluster-busy"
	CodeTLS            pipeline.Code = "cluster-tls"
	CodeUnreachable    pipeline.Code = "cluster-unreachable"
)

// explainConfig describes clientcmd's errors about a kubeconfig.
func explainConfig(err error) error {
	f := &pipeline.Finding{
		Code: CodeKubeconfig, Severity: pipeline.Error, End: pipeline.Usage,
		What: "the kubeconfig cannot be used", Why: termtext.Line(err.Error()), Err: err,
		Fix: "check --kubeconfig, KUBECONFIG and `kubectl config view`",
	}
	// The decoder's text describes its own Go types.
	if what, _, found := strings.Cut(f.Why, " into Go "); found {
		f.Why = what
	}
	switch {
	case clientcmd.IsEmptyConfig(err):
		f.What = "no cluster is configured"
		f.Why = "neither --kubeconfig nor KUBECONFIG nor ~/.kube/config names one"
	// clientcmd has no type for a missing context: IsContextNotFound looks at
	// the text as well.
	case clientcmd.IsContextNotFound(err) || strings.Contains(err.Error(), "does not exist") && strings.Contains(err.Error(), "context"):
		f.Code, f.What, f.Why = CodeContextUnknown, termtext.Line(err.Error()), ""
		f.Fix = "choose one of `kubectl config get-contexts -o name` with --context"
	}
	return f
}

// Explain turns an error of the API server, or of the connection to it, into a
// Finding if a person can do something about it. Any other error is wrapped.
// during is a verb phrase: the message begins with "cannot" and during. A
// Finding and a cancelled context are returned unchanged. An error that makes
// every request fail has the same text whatever was being done, so that it is
// reported only once.
//
// Codes: cluster-unreachable, cluster-tls, cluster-credentials,
// cluster-unauthorized, cluster-forbidden, cluster-busy, not-found, invalid.
func Explain(during string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*pipeline.Finding](err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, pipeline.ErrInterrupted) {
		return fmt.Errorf("cannot %s: %w", during, err)
	}
	f := &pipeline.Finding{Severity: pipeline.Error, What: "cannot " + during, Why: termtext.Line(err.Error()), Err: err}
	switch {
	case apierrors.IsUnauthorized(err):
		f.Code, f.What = CodeUnauthorized, "the cluster rejected the credentials"
		f.Fix = "log in to the cluster again: the credentials are wrong or have expired"
	case apierrors.IsForbidden(err):
		f.Code, f.Fix = CodeForbidden, "ask the cluster's administrator for this permission, or use --as or another --context"
	case apierrors.IsNotFound(err):
		f.Code, f.Fix = CodeNotFound, "check the name, --namespace and --context"
	case apierrors.IsInvalid(err) || apierrors.IsBadRequest(err):
		f.Code, f.Fix = CodeInvalid, "correct the manifest"
	case apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsTimeout(err):
		f.Code, f.Fix = CodeBusy, "try again in a moment"
	case isTLS(err):
		f.Code, f.What = CodeTLS, "the cluster's certificate is not trusted"
		f.Fix = "fetch the kubeconfig again: its certificate-authority does not match this server"
	case strings.Contains(err.Error(), "getting credentials: "):
		// rest's exec plugin round tripper has no error type of its own.
		f.Code, f.What = CodeCredentials, "the kubeconfig's credential command failed"
		f.Fix = "run the kubeconfig's credential command by hand to see why it fails"
	case isUnreachable(err):
		f.Code, f.What = CodeUnreachable, "the cluster cannot be reached"
		f.Fix = "check that the cluster runs and that the network (VPN, tunnel) is up; test it with `kubectl cluster-info`"
	default:
		return fmt.Errorf("cannot %s: %w", during, err)
	}
	return f
}

func isTLS(err error) bool {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid)
}

func isUnreachable(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) {
		return true
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return true
	}
	u, ok := errors.AsType[*url.Error](err)
	return ok && (u.Timeout() || strings.Contains(u.Err.Error(), "EOF"))
}
