package httpapi

import (
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// nameOf names a schema after its type. Packages report and dailyreport have types of the same names as operatorapi.
func nameOf(of reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(of, hint)
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	switch path.Base(of.PkgPath()) {
	case "report":
		return "Status" + strings.TrimPrefix(name, "Status")
	case "dailyreport":
		return "Report" + strings.TrimPrefix(name, "Report")
	}
	return name
}

// allowNull adds null to the schemas of fields that are a pointer to an object, or a map: an answer has null for what is not known, and package
// huma adds it to scalars and lists only.
func allowNull(registry huma.Registry) {
	for name, schema := range registry.Map() {
		of := registry.TypeFromRef("#/components/schemas/" + name)
		if of == nil || of.Kind() != reflect.Struct {
			continue
		}
		for field := range fieldsOf(of) {
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			property := schema.Properties[name]
			if property == nil || strings.Contains(options, "omitempty") {
				continue
			}
			switch {
			case field.Type.Kind() == reflect.Map:
				property.Nullable = true
			case field.Type.Kind() == reflect.Pointer && property.Ref != "" && field.Type.Elem() != reflect.TypeFor[time.Time]():
				schema.Properties[name] = &huma.Schema{AnyOf: []*huma.Schema{{Ref: property.Ref}, {Type: "null"}}}
			}
		}
	}
}

// fieldsOf yields the fields of a struct and of those that it embeds.
func fieldsOf(of reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for _, field := range reflect.VisibleFields(of) {
			if !field.Anonymous && !yield(field) {
				return
			}
		}
	}
}
