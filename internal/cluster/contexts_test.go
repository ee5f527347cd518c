package cluster_test

import (
	"reflect"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/joelhooks/gh-sbw/internal/cluster"
)

func TestMatchContexts(t *testing.T) {
	have := map[string]*api.Context{}
	for _, name := range []string{"prod-us", "prod-eu", "staging", "arn:aws:eks:eu-1:1:cluster/prod", "a.b"} {
		have[name] = &api.Context{}
	}
	for words, want := range map[string]string{
		"staging":               "staging",
		"staging,prod-*":        "staging prod-eu prod-us",
		"prod-us,prod-*":        "prod-us prod-eu", // once, at its first position
		"*cluster/p?od":         "arn:aws:eks:eu-1:1:cluster/prod",
		"a.b":                   "a.b",
		" staging":              "staging",
		"axb":                   "",
		"nope":                  "",
		"staging,nothing-*":     "", // what matches nothing is an error
		"prod":                  "", // a name has to match as a whole
		"":                      "",
		"prod-us,prod-us,a.*,*": "prod-us a.b arn:aws:eks:eu-1:1:cluster/prod prod-eu staging",
	} {
		got, err := cluster.MatchContexts(strings.Split(words, ","), have)
		if (err == nil) != (want != "") || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v; want %q", words, got, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), "prod-eu, prod-us, staging") {
			t.Errorf("%q: the known ones are not named: %v", words, err)
		}
	}
}

// A flag that is not copied would be dropped silently if there are several clusters.
func TestEveryKubectlFlagIsCopied(t *testing.T) {
	from := genericclioptions.NewConfigFlags(true)
	from.Username, from.Password = new(string), new(string)
	values := reflect.ValueOf(from).Elem()
	for i := range values.NumField() {
		field := values.Type().Field(i)
		if !field.IsExported() || field.Type.Kind() != reflect.Pointer {
			continue
		}
		switch v := values.Field(i).Elem(); v.Kind() {
		case reflect.String:
			v.SetString("value of " + field.Name)
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Slice:
			v.Set(reflect.ValueOf([]string{"value of " + field.Name}))
		default:
			t.Errorf("%s is a %s, which this test does not know", field.Name, v.Type())
		}
	}
	copies := reflect.ValueOf(cluster.WithContext(from, "other")).Elem()
	for i := range values.NumField() {
		field := values.Type().Field(i)
		if !field.IsExported() || field.Type.Kind() != reflect.Pointer {
			continue
		}
		want := values.Field(i).Elem().Interface()
		if field.Name == "Context" {
			want = "other"
		}
		if got := copies.Field(i).Elem().Interface(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v, want %v", field.Name, got, want)
		}
		if copies.Field(i).Pointer() == values.Field(i).Pointer() {
			t.Errorf("%s is shared: setting it for one context sets it for all", field.Name)
		}
	}
}
