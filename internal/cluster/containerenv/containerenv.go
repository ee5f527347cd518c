// Package containerenv computes the environment of a container as the cluster does: env
// takes precedence over envFrom and later entries over earlier ones, values come from
// Secrets and ConfigMaps, and $(NAME) is expanded. Resolve reads the environment, and
// Values.Get returns one variable.
//
// Values may be secret, so they stay in memory and are never printed; a Value
// prints as its source.
package containerenv

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
)

// State is what is known about a variable.
type State string

// The states of a variable.
const (
	Set     State = "set"
	Unset   State = "unset"   // nothing sets it
	Refused State = "refused" // a Secret or ConfigMap that we may not read may set it
	Missing State = "missing" // its Secret, ConfigMap or key does not exist
	Runtime State = "runtime" // known only in the pod (fieldRef, resourceFieldRef)
)

// Value is one variable.
type Value struct {
	State State
	// Source is where the value comes from: "env", "secret/NAME key K".
	Source string
	value  sealed
}

// sealed holds a value. It is a function, because fmt prints the content of
// unexported fields without calling their String.
type sealed func() string

func seal(s string) sealed { return func() string { return s } }

// Reveal returns the value; it is empty unless State is Set.
func (v Value) Reveal() string {
	if v.value == nil {
		return ""
	}
	return v.value()
}

// String returns the state and the source, never the value.
func (v Value) String() string { return string(v.State) + " (" + v.Source + ")" }

// Values are all variables of a container.
type Values struct {
	vars map[string]Value
	// Refused are the objects in envFrom that we may not read; it is unknown
	// what they set.
	Refused []string
	// Missing are required objects that do not exist.
	Missing []string
}

// Get returns one variable.
func (v Values) Get(name string) Value {
	if one, ok := v.vars[name]; ok {
		return one
	}
	if len(v.Refused) > 0 {
		return Value{State: Refused, Source: v.Refused[0]}
	}
	return Value{State: Unset}
}

// Lookup returns the value of the first of names that is set.
func (v Values) Lookup(names ...string) (string, bool) {
	for _, n := range names {
		if one := v.Get(n); one.State == Set {
			return one.Reveal(), true
		}
	}
	return "", false
}

// Resolve reads what a container's env and envFrom refer to. Missing permission to read
// a Secret results in the state Refused, not in an error.
func Resolve(ctx context.Context, kube kubernetes.Interface, namespace string, c *corev1.Container) (Values, error) {
	r := &resolver{kube: kube, namespace: namespace, objects: map[string]object{}}
	out := Values{vars: map[string]Value{}}
	for _, from := range c.EnvFrom {
		kind, name, optional := "", "", false
		switch {
		case from.SecretRef != nil:
			kind, name, optional = "secret", from.SecretRef.Name, isTrue(from.SecretRef.Optional)
		case from.ConfigMapRef != nil:
			kind, name, optional = "configmap", from.ConfigMapRef.Name, isTrue(from.ConfigMapRef.Optional)
		default:
			continue
		}
		o, err := r.read(ctx, kind, name)
		if err != nil {
			return out, err
		}
		source := kind + "/" + name
		switch {
		case o.refused:
			out.Refused = append(out.Refused, source)
		case o.missing && !optional:
			out.Missing = append(out.Missing, source)
		}
		for key, value := range o.data {
			out.vars[from.Prefix+key] = Value{State: Set, Source: source + " key " + key, value: seal(value)}
		}
	}
	for _, e := range c.Env {
		v, err := r.one(ctx, e, out)
		if err != nil {
			return out, err
		}
		if v.State == Missing {
			out.Missing = append(out.Missing, v.Source)
		}
		if v.State != Unset {
			out.vars[e.Name] = v
		}
	}
	return out, nil
}

type resolver struct {
	kube      kubernetes.Interface
	namespace string
	objects   map[string]object
}

// object is the data of a Secret or ConfigMap, read once.
type object struct {
	data             map[string]string
	refused, missing bool
}

func (r *resolver) read(ctx context.Context, kind, name string) (object, error) {
	key := kind + "/" + name
	if o, ok := r.objects[key]; ok {
		return o, nil
	}
	o := object{data: map[string]string{}}
	var err error
	if kind == "secret" {
		var s *corev1.Secret
		if s, err = r.kube.CoreV1().Secrets(r.namespace).Get(ctx, name, metav1.GetOptions{}); err == nil {
			for k, v := range s.Data {
				o.data[k] = string(v)
			}
		}
	} else {
		var m *corev1.ConfigMap
		if m, err = r.kube.CoreV1().ConfigMaps(r.namespace).Get(ctx, name, metav1.GetOptions{}); err == nil {
			o.data = m.Data
		}
	}
	switch {
	case apierrors.IsForbidden(err):
		o.refused = true
	case apierrors.IsNotFound(err):
		o.missing = true
	case err != nil:
		return o, cluster.Explain("read "+key, err)
	}
	r.objects[key] = o
	return o, nil
}

func (r *resolver) one(ctx context.Context, e corev1.EnvVar, so Values) (Value, error) {
	from := e.ValueFrom
	if from == nil {
		value, refused := expand(e.Value, so)
		if refused != "" {
			return Value{State: Refused, Source: refused}, nil
		}
		return Value{State: Set, Source: "env", value: seal(value)}, nil
	}
	var kind, name, key string
	optional := false
	switch {
	case from.SecretKeyRef != nil:
		kind, name, key, optional = "secret", from.SecretKeyRef.Name, from.SecretKeyRef.Key, isTrue(from.SecretKeyRef.Optional)
	case from.ConfigMapKeyRef != nil:
		kind, name, key, optional = "configmap", from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key, isTrue(from.ConfigMapKeyRef.Optional)
	default:
		return Value{State: Runtime, Source: "fieldRef"}, nil
	}
	o, err := r.read(ctx, kind, name)
	if err != nil {
		return Value{}, err
	}
	source := fmt.Sprintf("%s/%s key %s", kind, name, key)
	value, ok := o.data[key]
	switch {
	case o.refused:
		return Value{State: Refused, Source: source}, nil
	case ok:
		return Value{State: Set, Source: source, value: seal(value)}, nil
	case optional:
		return Value{State: Unset, Source: source}, nil
	}
	return Value{State: Missing, Source: source}, nil
}

func isTrue(b *bool) bool { return b != nil && *b }
