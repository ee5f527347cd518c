package handover

import (
	"encoding/json"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/fieldowner"
)

// Origin identifies the run that a mark belongs to.
type Origin struct {
	// Run is unique to the run.
	Run string `json:"run"`
	// By is USER@HOST and the process.
	By  string    `json:"by"`
	At  time.Time `json:"at"` // by that machine's clock
	Tag string    `json:"tag,omitempty"`
	// Deployment is the Deployment whose versions these are.
	Deployment string `json:"deployment"`
	// Old is the pod-template-hash of the version that served before.
	Old string `json:"old"`
}

// Mark is the annotation on a Deployment that is held.
type Mark struct {
	Origin
	// Services are the Services that switch together.
	Services []string `json:"services"`
	// Images are the images in the template that was applied with the hold, by
	// container. If the image is another one, somebody else has set it.
	Images map[string]string `json:"images"`
	// Paused means that this hand-over has paused the Deployment: see freeze.
	Paused bool `json:"paused,omitempty"`
	// Before holds the original values of the held fields, After the values that
	// they get if the new version stays.
	Before Fields `json:"before"`
	After  Fields `json:"after"`
	// OwnersBefore and OwnersAfter are the owners of the fields at these two points.
	OwnersBefore []Owner `json:"ownersBefore,omitempty"`
	OwnersAfter  []Owner `json:"ownersAfter,omitempty"`
}

// ServiceMark is the annotation on a Service that is held.
type ServiceMark struct {
	Origin
	// Selector is the original selector.
	Selector map[string]string `json:"selector"`
	Owners   []Owner           `json:"owners,omitempty"`
}

// Fields are the fields of a Deployment that a hold sets.
type Fields struct {
	MinReadySeconds         int32                     `json:"minReadySeconds"`
	ProgressDeadlineSeconds *int32                    `json:"progressDeadlineSeconds"`
	Strategy                appsv1.DeploymentStrategy `json:"strategy"`
}

func fieldsOf(d *appsv1.Deployment) Fields {
	return Fields{MinReadySeconds: d.Spec.MinReadySeconds, ProgressDeadlineSeconds: d.Spec.ProgressDeadlineSeconds, Strategy: d.Spec.Strategy}
}

// held reports which of the three fields have the values of a hold.
func (f Fields) held() (ready, deadline, strategy bool) {
	h := heldFields()
	return f.MinReadySeconds == h.MinReadySeconds,
		f.ProgressDeadlineSeconds != nil && *f.ProgressDeadlineSeconds == *h.ProgressDeadlineSeconds,
		equality.Semantic.DeepEqual(f.Strategy, h.Strategy)
}

// Held reports whether the hold still protects the Deployment's old pods: no new pod
// counts as available, and no old pod may be unavailable.
func Held(d *appsv1.Deployment) bool {
	ready, _, strategy := fieldsOf(d).held()
	return ready && strategy
}

// MarkOf reads the mark of a Deployment. It returns nil if there is none, or if nothing is
// held any longer (see the package's documentation on ReplicaSets): neither a field nor a
// pause that this project has set.
func MarkOf(d *appsv1.Deployment) (*Mark, error) {
	text := d.Annotations[Annotation]
	if text == "" {
		return nil, nil
	}
	var m Mark
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil, fmt.Errorf("cannot read annotation %s of deployment/%s: %w", Annotation, d.Name, err)
	}
	ready, deadline, _ := fieldsOf(d).held()
	paused := m.Paused && d.Spec.Paused && fieldowner.Owner(d, "spec", "paused").Manager == cluster.FieldManager
	if m.Deployment != d.Name || !ready && !deadline && !paused {
		return nil, nil
	}
	return &m, nil
}

// ServiceMarkOf reads the mark of a Service; nil if it has none.
func ServiceMarkOf(svc *corev1.Service) (*ServiceMark, error) {
	text := svc.Annotations[Annotation]
	if text == "" {
		return nil, nil
	}
	var m ServiceMark
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil, fmt.Errorf("cannot read annotation %s of service/%s: %w", Annotation, svc.Name, err)
	}
	return &m, nil
}

func encode(mark any) (string, error) {
	text, err := json.Marshal(mark)
	return string(text), err
}

// settled returns the values that the held fields will have once config has been applied
// and nothing is held. Values in config come first, then present values that somebody
// else owns, then the defaults. ours reports the managers that config's owner takes over from.
func settled(config *unstructured.Unstructured, live *appsv1.Deployment, ours func(manager string) bool) (Fields, []Owner, error) {
	others, err := ownersOf(live.ManagedFields, deploymentPaths, func(m metav1.ManagedFieldsEntry) bool { return !ours(m.Manager) })
	if err != nil {
		return Fields{}, nil, err
	}
	f := Fields{MinReadySeconds: live.Spec.MinReadySeconds}
	f.ProgressDeadlineSeconds, f.Strategy = live.Spec.ProgressDeadlineSeconds, *live.Spec.Strategy.DeepCopy()
	foreign := union(others)
	if !foreign.Has(pathMinReady) {
		f.MinReadySeconds = 0
	}
	if !foreign.Has(pathDeadline) {
		f.ProgressDeadlineSeconds = nil
	}
	if r := f.Strategy.RollingUpdate; r != nil {
		if !foreign.Has(pathMaxSurge) {
			r.MaxSurge = nil
		}
		if !foreign.Has(pathMaxUnavailable) {
			r.MaxUnavailable = nil
		}
	}
	// Values in config win; the API server has refused conflicts before this.
	var named struct {
		Spec struct {
			MinReadySeconds         *int32                     `json:"minReadySeconds"`
			ProgressDeadlineSeconds *int32                     `json:"progressDeadlineSeconds"`
			Strategy                *appsv1.DeploymentStrategy `json:"strategy"`
		} `json:"spec"`
	}
	data, err := json.Marshal(config.Object)
	if err != nil {
		return Fields{}, nil, err
	}
	if err := json.Unmarshal(data, &named); err != nil {
		return Fields{}, nil, fmt.Errorf("cannot read the manifest's deployment/%s: %w", live.Name, err)
	}
	if v := named.Spec.MinReadySeconds; v != nil {
		f.MinReadySeconds = *v
	}
	if v := named.Spec.ProgressDeadlineSeconds; v != nil {
		f.ProgressDeadlineSeconds = v
	}
	if v := named.Spec.Strategy; v != nil && v.RollingUpdate != nil {
		if f.Strategy.RollingUpdate == nil {
			f.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{}
		}
		if s := v.RollingUpdate.MaxSurge; s != nil {
			f.Strategy.RollingUpdate.MaxSurge = s
		}
		if u := v.RollingUpdate.MaxUnavailable; u != nil {
			f.Strategy.RollingUpdate.MaxUnavailable = u
		}
	}
	f.setDefaults()
	owners, err := withConfig(others, config)
	return f, owners, err
}

// setDefaults is the API server's SetDefaults_Deployment for these fields.
func (f *Fields) setDefaults() {
	if f.ProgressDeadlineSeconds == nil {
		seconds := int32(600)
		f.ProgressDeadlineSeconds = &seconds
	}
	f.Strategy.Type = appsv1.RollingUpdateDeploymentStrategyType // Choose leaves Recreate out
	if f.Strategy.RollingUpdate == nil {
		f.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{}
	}
	quarter := intstr.FromString("25%")
	if f.Strategy.RollingUpdate.MaxSurge == nil {
		f.Strategy.RollingUpdate.MaxSurge = &quarter
	}
	if f.Strategy.RollingUpdate.MaxUnavailable == nil {
		f.Strategy.RollingUpdate.MaxUnavailable = &quarter
	}
}
