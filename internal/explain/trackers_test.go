package explain

import (
	"slices"
	"testing"
)

// TestMessagesFromTrackers checks the words of docker, BuildKit, podman, GHCR, kubectl
// and Inngest as people paste them into public issue trackers, where a program often
// puts its own words around the reason.
func TestMessagesFromTrackers(t *testing.T) {
	for message, code := range map[string]string{
		`buildx call failed with: error: denied: requested access to the resource is denied`:                                           "registry-denied",
		`failed to solve: rpc error: code = Unknown desc = unexpected status: 403 Forbidden`:                                           "registry-denied",
		`error: failed to solve: unexpected status: 401 Unauthorized`:                                                                  "registry-denied",
		`buildx failed with: error: failed to solve: failed to copy: cannot reuse body, request must be retried`:                       "registry-failed",
		`buildx failed with: ERROR: failed to solve: failed to push ghcr.io/a/b:latest: failed to copy: io: read/write on closed pipe`: "registry-failed",
		`denied: denied`: "registry-denied",
		`error: failed to solve: authorization status: 401: authorization failed`:                "registry-denied",
		`insufficient_scope: authorization failed`:                                               "base-image-denied",
		`Error response from daemon: Head "https://ghcr.io/v2/m/p/manifests/main": unauthorized`: "registry-denied",
		`Error response from daemon: pull access denied for ghcr.io/k/h, repository does not exist or may require 'docker login': denied: permission_denied: read_package`:                                                                                                                                                                "image-denied",
		`Failed to pull image "ghcr.io/n/p:latest": failed to pull and unpack image "ghcr.io/n/p:latest": failed to resolve reference "ghcr.io/n/p:latest": failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://ghcr.io/token?scope=repository%3An%3Apull&service=ghcr.io: 403 Forbidden`: "image-denied",
		`Error response from daemon: unknown: failed to resolve reference "ghcr.io/v/b:latest": unexpected status from HEAD request to https://ghcr.io/v2/v/b/manifests/latest: 403 Forbidden`:                                                                                                                                            "image-denied",
		`FATA[0000] Error listing repository tags: Requesting bearer token: received unexpected HTTP status: 403 Forbidden`:                                                                                                                                                                                                               "registry-denied",
		`ERROR sync error error="error registering functions: Your signing key is invalid"`:                                                                                                                                                                                                                                               "inngest-wrong-signing-key",
		`error: 'Your signing key is invalid'`: "inngest-wrong-signing-key",
		`We could not reach your URL. Please verify that your URL is correct and check your server logs.`: "inngest-app-unreachable",
		`[1] error: Signing key is required`:                         "inngest-wrong-signing-key",
		`error handling queue item error="invalid status code: 401"`: "inngest-wrong-signing-key",
		`Error: No route matches URL "/fn/register"`:                 "inngest-register-failed",
		`Error from server (Forbidden): error when creating "rbac.yml": clusterroles.rbac.authorization.k8s.io "k" is forbidden: attempt to grant extra privileges`:                                                 "cluster-forbidden",
		`Unable to connect to the server: x509: certificate signed by unknown authority (possibly because of "crypto/rsa: verification error" while trying to verify candidate authority certificate "kubernetes")`: "cluster-tls",
		`Failed to create deployment: Post https://k8s.example/apis/apps/v1/namespaces/default/deployments: x509: certificate signed by unknown authority`:                                                          "cluster-tls",
		`Error: creating build container: short-name "my-base" did not resolve to an alias and no unqualified-search registries are defined in "/etc/containers/registries.conf"`:                                   "base-image-short-name",
		`error creating build container: short-name resolution enforced but cannot prompt without a TTY`:                                                                                                            "base-image-short-name",
		`ERROR: failed to solve: process "/bin/sh -c set -xe && apk add --no-cache x" did not complete successfully: exit code: 1`:                                                                                  "build-step",
		`failed to solve: node:18-alpine: failed to resolve source metadata for docker.io/library/node:18-alpine: docker.io/library/node:18-alpine: not found`:                                                      "base-image-missing",
		`failed to solve: failed to read dockerfile: open Dockerfile: no such file or directory`:                                                                                                                    "dockerfile-missing",
		`failed to solve: failed to compute cache key: failed to calculate checksum of ref abc::def: "/package.json": not found`:                                                                                    "copy-missing",
		`toomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit`:                                                                                        "base-image-rate",
		`ERROR: OCI exporter is not supported for the docker driver. Switch to a different driver, or turn on the containerd image store, and try again.`:                                                           "builder-no-oci",
		`ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?`:                                                                                                  "builder-down",
		`exec /usr/local/bin/docker-entrypoint.sh: exec format error`:                                                                                                                                               "exec-format",
		`standard_init_linux.go:228: exec user process caused: exec format error`:                                                                                                                                   "exec-format",
		`error: You must be logged in to the server (Unauthorized)`:                                                                                                                                                 "cluster-unauthorized",
		`Error from server (Forbidden): secrets is forbidden: User "system:serviceaccount:ci:deployer" cannot list resource "secrets" in API group "" in the namespace "prod"`:                                      "cluster-forbidden",
		`error: error executing jsonpath: no matches for kind "Deployment" in version "extensions/v1beta1"`:                                                                                                         "manifest-kind",
		`error: error validating "d.yaml": error validating data: ValidationError(Deployment.spec): unknown field "replica"`:                                                                                        "invalid",
		`The Deployment "w" is invalid: spec.selector: Invalid value: v1.LabelSelector{}: field is immutable`:                                                                                                       "field-immutable",
		`Error from server (NotFound): deployments.apps "w" not found`:                                                                                                                                              "not-found",
		`Error from server (NotFound): namespaces "prod" not found`:                                                                                                                                                 "namespace-missing",
		`error: current-context is not set`:                                                                                     "context-unknown",
		`error: context "prod" does not exist`:                                                                                  "context-unknown",
		`dial tcp: lookup ghcr.io on 10.0.2.3:53: no such host`:                                                                 "registry-unreachable",
		`dial tcp 127.0.0.1:8288: connect: connection refused`:                                                                  "inngest-unreachable",
		`connect ECONNREFUSED 127.0.0.1:8288`:                                                                                   "inngest-unreachable",
		`Error: connect ECONNREFUSED 127.0.0.1:5000`:                                                                            "registry-unreachable",
		`The connection to the server localhost:8080 was refused - did you specify the right host or port?`:                     "cluster-unreachable",
		`Inngest error: Failed to register; Inngest server replied with status code: 500`:                                       "inngest-register-failed",
		`Expected server kind cloud, got dev`:                                                                                   "inngest-server-kind",
		`No x-inngest-signature provided`:                                                                                       "inngest-wrong-signing-key",
		`http error: Unable to reach SDK URL`:                                                                                   "inngest-sdk-unreachable",
		`Duplicate function ID "my-fn" - the function ID must be unique`:                                                        "catalog-duplicate-id",
		"error getting credentials - err: exec: \"docker-credential-desktop.exe\": executable file not found in $PATH, out: ``": "docker-credential-helper",
		`denied: installation not allowed to Create organization package`:                                                       "organization-policy",
		`denied: permission_denied: The requested installation does not exist.`:                                                 "token-scope",
		`ERROR: failed to push ghcr.io/a/b: unexpected status: 413 Request Entity Too Large`:                                    "registry-refused",
		`error: failed to solve: failed to push: unexpected status from PUT request: 502 Bad Gateway`:                           "registry-failed",
		`Readiness probe failed: HTTP probe failed with statuscode: 503`:                                                        "not-ready",
		`Back-off restarting failed container worker in pod w-1_ns`:                                                             "crash-loop",
		`Error: failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "bun": executable file not found in $PATH: unknown`: "command-not-found",
		`0/3 nodes are available: 3 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }. preemption: 0/3 nodes are available`:                                                                         "taint",
		`0/1 nodes are available: 1 Too many pods. preemption: 0/1 nodes are available`:                                                                                                                                   "unschedulable",
		`error: deployment "w" exceeded its progress deadline`:                                                                                                                                                            "progress-deadline",
		`error: timed out waiting for the condition on deployments/w`:                                                                                                                                                     "rollout-timeout",
		`Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas`:                                                                                                           "apply-conflict",
	} {
		var got []string
		for _, e := range Candidates(message) {
			got = append(got, e.Code)
		}
		if !slices.Equal(got, []string{code}) {
			t.Errorf("%q leads to %q, want %q", message, got, code)
		}
	}
}
