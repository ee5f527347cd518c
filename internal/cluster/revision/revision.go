// Package revision lists the earlier revisions of a workload that the cluster keeps, and
// goes back to one of them. List reads them, Pick chooses one, and Undo goes back to it.
//
// A Deployment keeps them as ReplicaSets, the other kinds as
// ControllerRevisions (revisionHistoryLimit, 10 by default). Going back sets
// only the pod template, like `kubectl rollout undo`, but with this project's
// field manager, which then owns it as if it had applied it.
package revision

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// annotationRevision is where the Deployment controller stores the number
// (pkg/controller/deployment/util).
const annotationRevision = "deployment.kubernetes.io/revision"

// Revision is one revision of a workload.
type Revision struct {
	Number   int64                   `json:"revision"`
	Name     string                  `json:"name"` // of the ReplicaSet or ControllerRevision
	Created  time.Time               `json:"created"`
	Current  bool                    `json:"current"` // its template is the workload's current one
	Pods     int32                   `json:"pods"`    // the number of pods that a ReplicaSet has now
	Images   []string                `json:"images"`  // name=image of each container
	Template *corev1.PodTemplateSpec `json:"-"`
	// Failed means that the revision is known to have never worked. List leaves it to
	// its caller to set this.
	Failed bool `json:"failed,omitempty"`
	// Annotations are the workload's annotations at the time: the change cause and this
	// project's own. Only a Deployment keeps them.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// List returns the revisions, newest first.
func List(ctx context.Context, kube kubernetes.Interface, w *workload.Workload) ([]Revision, error) {
	var all []Revision
	var err error
	if w.Deployment != nil {
		all, err = ofDeployment(ctx, kube, w)
	} else {
		all, err = ofOthers(ctx, kube, w)
	}
	if err != nil {
		return nil, cluster.Explain("read the revisions of "+w.Ref().String(), err)
	}
	slices.SortFunc(all, func(a, b Revision) int { return int(b.Number - a.Number) })
	// Of several revisions with the same template, the newest one is in use.
	for i := range all {
		if verdict.SameTemplate(all[i].Template, w.Template()) {
			all[i].Current = true
			break
		}
	}
	return all, nil
}

func ofDeployment(ctx context.Context, kube kubernetes.Interface, w *workload.Workload) ([]Revision, error) {
	list, err := kube.AppsV1().ReplicaSets(w.Deployment.Namespace).List(ctx, metav1.ListOptions{LabelSelector: w.Selector().String()})
	if err != nil {
		return nil, err
	}
	var all []Revision
	for i := range list.Items {
		rs := &list.Items[i]
		number, err := strconv.ParseInt(rs.Annotations[annotationRevision], 10, 64)
		if err != nil || !metav1.IsControlledBy(rs, w.Deployment) {
			continue // not numbered yet, or somebody else's
		}
		template := rs.Spec.Template.DeepCopy()
		delete(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
		all = append(all, Revision{Number: number, Name: rs.Name, Created: rs.CreationTimestamp.Time, Pods: rs.Status.Replicas,
			Images: images(template), Template: template, Annotations: described(rs.Annotations)})
	}
	return all, nil
}

func ofOthers(ctx context.Context, kube kubernetes.Interface, w *workload.Workload) ([]Revision, error) {
	list, err := kube.AppsV1().
		ControllerRevisions(w.Object().GetNamespace()).
		List(ctx, metav1.ListOptions{LabelSelector: w.Selector().String()})
	if err != nil {
		return nil, err
	}
	var all []Revision
	for i := range list.Items {
		r := &list.Items[i]
		if !metav1.IsControlledBy(r, w.Object()) {
			continue
		}
		template, err := templateOf(w, r)
		if err != nil {
			return nil, fmt.Errorf("cannot read revision %s: %w", r.Name, err)
		}
		all = append(
			all,
			Revision{
				Number:      r.Revision,
				Name:        r.Name,
				Created:     r.CreationTimestamp.Time,
				Images:      images(template),
				Template:    template,
				Annotations: described(r.Annotations),
			},
		)
	}
	return all, nil
}

// templateOf applies a ControllerRevision, which is a strategic merge patch of its
// workload ({"spec":{"template":{…,"$patch":"replace"}}}).
func templateOf(w *workload.Workload, r *appsv1.ControllerRevision) (*corev1.PodTemplateSpec, error) {
	var patched any = &appsv1.StatefulSet{}
	var object runtime.Object = w.StatefulSet
	if w.DaemonSet != nil {
		patched, object = &appsv1.DaemonSet{}, w.DaemonSet
	}
	original, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	data, err := strategicpatch.StrategicMergePatch(original, r.Data.Raw, patched)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, patched); err != nil {
		return nil, err
	}
	return workload.Of(patched).Template(), nil
}

func images(t *corev1.PodTemplateSpec) []string {
	var all []string
	for _, list := range [][]corev1.Container{t.Spec.Containers, t.Spec.InitContainers} {
		for _, c := range list {
			all = append(all, c.Name+"="+c.Image)
		}
	}
	return all
}

func described(annotations map[string]string) map[string]string {
	kept := map[string]string{}
	for k, v := range annotations {
		if k == apply.ChangeCause || strings.HasPrefix(k, apply.OwnPrefix) {
			kept[k] = v
		}
	}
	return kept
}

// Pick chooses the revision to go back to: number, or, if number is 0, the
// newest one that is neither the current one nor known to have failed.
// Findings: revision-unknown, revision-none.
func Pick(all []Revision, number int64) (*Revision, error) {
	if number == 0 {
		for i := range all {
			if !all[i].Current && !all[i].Failed {
				return &all[i], nil
			}
		}
		return nil, &pipeline.Finding{Code: codeRevisionNone, Severity: pipeline.Error,
			What: "there is no earlier revision to go back to", Fix: "roll out a tag that worked: `kubectl sbw rollout --tag TAG`"}
	}
	var have []string
	for i := range all {
		if all[i].Number == number {
			return &all[i], nil
		}
		have = append(have, strconv.FormatInt(all[i].Number, 10))
	}
	return nil, &pipeline.Finding{Code: codeRevisionUnknown, Severity: pipeline.Error,
		What: fmt.Sprintf("there is no revision %d", number), Why: "the cluster keeps " + units.List(have),
		Fix: "choose one of them (`kubectl sbw history`), or roll out its tag again"}
}

// Undo sets the workload's pod template to that of a revision. expected is the workload
// whose template may be replaced: if somebody has changed the template meanwhile
// (superseded), or replaced the workload, nothing is done. If expected is nil, any
// template is replaced. The result is the workload to watch.
func Undo(
	ctx context.Context,
	conn *cluster.Conn,
	ref workload.Ref,
	to *Revision,
	expected *workload.Workload,
	annotations map[string]string,
	r *pipeline.Reporter,
) (*workload.Workload, error) {
	kube, err := conn.Kube()
	if err != nil {
		return nil, cluster.Explain("connect to the cluster", err)
	}
	var try cluster.Attempts
	for {
		live, err := workload.Get(ctx, kube, ref)
		if err != nil {
			return nil, err
		}
		if expected != nil && live.Object().GetUID() != expected.Object().GetUID() {
			return nil, apply.Replaced(ref.String(), ref.Namespace, live.Object(), nil)
		}
		if expected != nil && !verdict.SameTemplate(live.Template(), expected.Template()) {
			return nil, apply.Superseded(expected, live).With(func(f *pipeline.Finding) {
				f.Fix = "talk to them; `kubectl sbw undo` once more goes back regardless of what runs"
			})
		}
		done, err := apply.Template(ctx, conn, live, to.Template, merge(to.Annotations, annotations), r)
		if !apierrors.IsConflict(err) || !try.More(ctx) {
			return done, err
		}
	}
}

// merge adds new annotations to old ones. An old annotation without a new value
// stays.
func merge(old, new map[string]string) map[string]string {
	all := maps.Clone(old)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, new)
	return all
}
