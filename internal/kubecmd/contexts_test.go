package kubecmd

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
)

func TestMatchContexts(t *testing.T) {
	have := map[string]*api.Context{}
	for _, name := range []string{"prod-us", "prod-eu", "staging", "arn:aws:eks:eu-1:1:cluster/prod", "a.b"} {
		have[name] = &api.Context{}
	}
	for words, want := range map[string]string{
		"staging":               "staging",
		"staging,prod-*":        "staging prod-eu prod-us",
		"prod-us,prod-*":        "prod-us prod-eu", // once, where it was named first
		"*cluster/p?od":         "arn:aws:eks:eu-1:1:cluster/prod",
		"a.b":                   "a.b",
		" staging":              "staging",
		"axb":                   "",
		"nope":                  "",
		"staging,nothing-*":     "", // what matches nothing is an error
		"prod":                  "", // the whole name, as everywhere
		"":                      "",
		"prod-us,prod-us,a.*,*": "prod-us a.b arn:aws:eks:eu-1:1:cluster/prod prod-eu staging",
	} {
		got, err := matchContexts(strings.Split(words, ","), have)
		if (err == nil) != (want != "") || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v; want %q", words, got, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), "prod-eu, prod-us, staging") {
			t.Errorf("%q: the known ones are not named: %v", words, err)
		}
	}
}

func TestWhatSeveralContextsShareIsToldOnce(t *testing.T) {
	same := func() *pipeline.Finding {
		return &pipeline.Finding{Code: "x", Severity: pipeline.Error, What: "the file is gone"}
	}
	own := &pipeline.Finding{Code: "y", What: "only here"}
	got := rollout.Together([]string{"eu", "us"}, [][]*pipeline.Finding{{same(), own}, {same()}})
	var texts []string
	for _, f := range got {
		texts = append(texts, f.What)
	}
	if want := []string{"eu, us: the file is gone", "eu: only here"}; !slices.Equal(texts, want) {
		t.Errorf("%q", texts)
	}
	if own.What != "only here" {
		t.Error("the finding itself was altered")
	}
}

func TestContextsUsage(t *testing.T) {
	for name, tc := range map[string]struct {
		argv []string
		want string
	}{
		"unknown":         {[]string{"rollout", "--tag", "a", "--contexts", "here,nope"}, `no context is called "nope"`},
		"both":            {[]string{"rollout", "--tag", "a", "--contexts", "here", "--context", "here"}, "--context and --contexts are both given"},
		"twice the same":  {[]string{"rollout", "--tag", "a", "--contexts", "*"}, "refer to the same deployment/system-bus-worker"},
		"wave size":       {[]string{"rollout", "--tag", "a", "--contexts", "here", "--wave-size", "0"}, "--wave-size 0"},
		"max failures":    {[]string{"rollout", "--tag", "a", "--contexts", "here", "--max-failures", "-1"}, "--max-failures -1"},
		"without several": {[]string{"rollout", "--tag", "a", "--wave-size", "2"}, "--wave-size and --max-failures"},
		"no tag":          {[]string{"rollout", "--contexts", "here"}, "no tag to roll out"},
		"status":          {[]string{"status", "--contexts", "nope"}, `no context is called "nope"`},
		"doctor":          {[]string{"doctor", "--tag", "a", "--contexts", "nope"}, `no context is called "nope"`},
	} {
		t.Run(name, func(t *testing.T) {
			env, out, errs := testEnv(t, "")
			two := strings.Replace(kubeconfig, "contexts: [", "contexts: [{name: there, context: {cluster: c, user: u}}, ", 1)
			if err := os.WriteFile(os.Getenv("KUBECONFIG"), []byte(two), 0o600); err != nil {
				t.Fatal(err)
			}
			code := cli.Execute(t.Context(), env, NewRoot(env), tc.argv)
			if code != int(pipeline.Usage) || !strings.Contains(errs.String(), tc.want) || !strings.Contains(errs.String(), "fix:") || out.Len() > 0 {
				t.Errorf("exit %d\n%s\n%s", code, out, errs)
			}
		})
	}
}

// TestEveryKubectlFlagIsCopied: a flag that is not, is dropped in silence when
// several clusters are meant.
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
	copies := reflect.ValueOf(withContext(from, "other")).Elem()
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
			t.Errorf("%s is shared: what is set for one context is set for all", field.Name)
		}
	}
}
