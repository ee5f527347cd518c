// Package lock lets one rollout at a time change a workload: a Lease with
// holder, tag and expiry, renewed while the run lasts.
package lock
