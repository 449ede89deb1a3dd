package api

import (
	"reflect"
	"slices"
	"strings"
)

// schema is a part of the OpenAPI document.
type schema map[string]any

// schemas turns the wire types into schemas. Types with a name become
// components, which others refer to.
type schemas map[string]schema

// fixed are the types that read or write JSON in their own way.
var fixed = map[reflect.Type]schema{
	reflect.TypeFor[boolean]():    {"type": "boolean"},
	reflect.TypeFor[integer]():    {"type": "integer", "format": "int64"},
	reflect.TypeFor[identifier](): {"oneOf": []schema{{"type": "string"}, {"type": "integer", "format": "int64"}}},
	reflect.TypeFor[volumeName](): {"type": "string"},
	reflect.TypeFor[uuid]():       {"type": "string", "format": "uuid"},
	reflect.TypeFor[portRange]():  {"type": "string"},
}

// of is the schema of a value's type, or of a shape's fields.
func (all schemas) of(body any) schema {
	switch body := body.(type) {
	case shape:
		return all.ofShape(body)
	case listOf:
		return schema{"type": "array", "items": all.of(body.item)}
	case mapOf:
		return schema{"type": "object", "additionalProperties": all.of(body.item)}
	}
	return all.ofType(reflect.TypeOf(body))
}

func (all schemas) ofShape(body shape) schema {
	properties, required := schema{}, []string{}
	for key, value := range body {
		name, optional := strings.CutSuffix(key, "?")
		properties[name] = all.of(value)
		if !optional {
			required = append(required, name)
		}
	}
	return objectOf(properties, required)
}

// objectOf is the schema of an object.
func objectOf(properties schema, required []string) schema {
	s := schema{"type": "object", "properties": properties}
	if len(required) > 0 {
		slices.Sort(required)
		s["required"] = required
	}
	return s
}

func (all schemas) ofType(t reflect.Type) schema {
	if s, ok := fixed[t]; ok {
		return s
	}
	switch t.Kind() {
	case reflect.Pointer:
		return all.ofType(t.Elem())
	case reflect.Struct:
		return all.ofStruct(t)
	case reflect.Slice, reflect.Array:
		return schema{"type": "array", "items": all.ofType(t.Elem())}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": all.ofType(t.Elem())}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return schema{"type": "number"}
	case reflect.Int, reflect.Int64, reflect.Int32:
		return schema{"type": "integer", "format": "int64"}
	case reflect.Interface: // such as a netmask: text in IPv4, a number in IPv6
		return schema{}
	default:
		return schema{"type": "string"}
	}
}

// ofStruct refers to a struct's component, and makes that at the first sight.
func (all schemas) ofStruct(t reflect.Type) schema {
	name := component(t.Name())
	if name == "" {
		return objectOf(all.fields(t, ""))
	}
	if all[name] == nil {
		all[name] = schema{} // in case that it has itself within
		all[name] = objectOf(all.fields(t, name))
	}
	return schema{"$ref": "#/components/schemas/" + name}
}

// component is the name that the document has for a type: wireDroplet is
// Droplet. Instances of generic types have none.
func component(name string) string {
	name = strings.TrimPrefix(name, "wire")
	if name == "" || strings.Contains(name, "[") {
		return ""
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// fields lists what a struct has in JSON, and what of it is in every answer.
func (all schemas) fields(t reflect.Type, component string) (properties schema, required []string) {
	properties = schema{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous && name == "" {
			inner := field.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			more, always := all.fields(inner, strings.TrimPrefix(inner.Name(), "wire"))
			for key, value := range more {
				properties[key] = value
			}
			required = append(required, always...)
			continue
		}
		if name == "" || name == "-" {
			continue
		}
		properties[name] = all.field(field, options, component+"."+name)
		if !strings.HasPrefix(options, "omit") && !slices.Contains(required, name) {
			required = append(required, name)
		}
	}
	return properties, required
}

// field is the schema of a field: nullable where it may be null, and one of
// its words where it has some.
func (all schemas) field(field reflect.StructField, options, path string) schema {
	s := all.ofType(field.Type)
	if possible, ok := words[path]; ok {
		s = schema{"type": "string", "enum": possible}
	}
	if strings.HasSuffix(field.Name, "At") && s["type"] == "string" {
		s["format"] = "date-time"
	}
	if field.Type.Kind() != reflect.Pointer || strings.HasPrefix(options, "omit") {
		return s
	}
	if s["$ref"] != nil {
		return schema{"allOf": []schema{s}, "nullable": true}
	}
	s["nullable"] = true
	return s
}
