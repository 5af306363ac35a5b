//! Import and evaluation of small files. That scores are those of onnxruntime is held against real models in `tests/models.py`.

use super::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    ShapeProto, TensorProto, TensorTypeProto, TypeProto, ValueInfoProto, element,
};
use super::tensor::{Data, Tensor, common_shape};
use super::{Imported, import};
use crate::learn::{Error, Model};
use proptest::prelude::*;
use prost::Message;

fn value(name: &str, columns: i64) -> ValueInfoProto {
    let dim = |dim_value| DimensionProto { dim_value };
    let shape = ShapeProto {
        dim: vec![dim(None), dim(Some(columns))],
    };
    let tensor_type = TensorTypeProto {
        elem_type: element::FLOAT,
        shape: Some(shape),
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(tensor_type),
            sequence_type: None,
        }),
    }
}

fn node(
    kind: &str,
    domain: &str,
    inputs: &[&str],
    output: &str,
    attribute: Vec<AttributeProto>,
) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|it| (*it).to_owned()).collect(),
        output: vec![output.to_owned()],
        op_type: kind.to_owned(),
        domain: domain.to_owned(),
        attribute,
    }
}

fn floats(name: &str, floats: &[f32]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        floats: floats.to_vec(),
        ..AttributeProto::default()
    }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        ints: ints.to_vec(),
        ..AttributeProto::default()
    }
}

fn constant(name: &str, floats: &[f32]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: vec![floats.len() as i64],
        data_type: element::FLOAT,
        float_data: floats.to_vec(),
        ..TensorProto::default()
    }
}

fn model(node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    let set = |domain: &str, version| OperatorSetIdProto {
        domain: domain.to_owned(),
        version,
    };
    ModelProto {
        producer_name: "test".to_owned(),
        opset_import: vec![set("", 18), set("ai.onnx.ml", 3)],
        graph: Some(GraphProto {
            node,
            initializer,
            input: vec![value("X", 2)],
            output: vec![value("Y", 1)],
        }),
        ..ModelProto::default()
    }
}

/// (2 (x - [1, 2]) · [3, -1] + 0.5) * 10
fn linear() -> ModelProto {
    let scaler = vec![floats("offset", &[1.0, 2.0]), floats("scale", &[2.0])];
    let regressor = vec![
        floats("coefficients", &[3.0, -1.0]),
        floats("intercepts", &[0.5]),
    ];
    let nodes = vec![
        // What an output needs may stand behind it.
        node("Mul", "", &["Z", "ten"], "Y", Vec::new()),
        node("Scaler", "ai.onnx.ml", &["X"], "S", scaler),
        node("LinearRegressor", "ai.onnx.ml", &["S"], "Z", regressor),
        node("Unknown", "", &["X"], "unused", Vec::new()),
    ];
    model(nodes, vec![constant("ten", &[10.0])])
}

fn imported(model: &ModelProto) -> Result<Model, Error> {
    let wanted = Imported {
        name: "m".to_owned(),
        features: vec!["a".to_owned(), "b".to_owned()],
        ..Imported::default()
    };
    import(&model.encode_to_vec(), &wanted)
}

fn refusal(model: &ModelProto) -> String {
    imported(model).unwrap_err().to_string()
}

#[test]
fn steps_are_taken_as_the_output_needs_them() {
    let model = imported(&linear()).unwrap();
    assert_eq!(model.score(&[Some(2.0), Some(5.0)]), Some(5.0));
    assert_eq!(model.score(&[Some(2.0), None]), None);
    assert_eq!(Model::parse(&model.to_bytes()).unwrap(), model);
    assert_eq!(model.trained().producer.as_deref(), Some("test"));
}

#[test]
fn what_is_not_known_is_named() {
    let with = |change: fn(&mut GraphProto)| {
        let mut model = linear();
        change(model.graph.as_mut().unwrap());
        refusal(&model)
    };
    let unknown = with(|it| it.node[1].op_type = "Hardmax".to_owned());
    assert!(
        unknown.contains("Hardmax: it is not known here"),
        "{unknown}"
    );
    let text = with(|it| {
        let tensor = it.input[0].r#type.as_mut().unwrap().tensor_type.as_mut();
        tensor.unwrap().elem_type = 8;
    });
    assert!(text.contains("not of numbers"), "{text}");
    let circle = with(|it| it.node[1].input[0] = "Y".to_owned());
    assert!(circle.contains("circle"), "{circle}");
    let nothing = with(|it| it.initializer.clear());
    assert!(nothing.contains("nothing makes \"ten\""), "{nothing}");
    let wide = with(|it| it.node[2].attribute[0].floats.push(1.0));
    assert!(wide.contains("3 coefficients for 2 columns"), "{wide}");
    let infinite = with(|it| it.initializer[0].float_data[0] = f32::INFINITY);
    assert!(infinite.contains("not finite"), "{infinite}");
    let columns = with(|it| it.input = vec![value("X", 3)]);
    assert!(columns.contains("takes 3 features"), "{columns}");
    let mut newer = linear();
    newer.opset_import[0].version = 99;
    assert!(
        refusal(&newer).contains("version 99"),
        "{}",
        refusal(&newer)
    );
}

#[test]
fn trees_compare_in_every_way_and_know_where_missing_values_go() {
    // By mode: scores of 0, 1, 2 and of a missing value, where 1 is the threshold and yes is 10.
    let cases: [(&str, [f64; 4]); 6] = [
        ("BRANCH_LEQ", [10.0, 10.0, 20.0, 20.0]),
        ("BRANCH_LT", [10.0, 20.0, 20.0, 20.0]),
        ("BRANCH_GTE", [20.0, 10.0, 10.0, 20.0]),
        ("BRANCH_GT", [20.0, 20.0, 10.0, 20.0]),
        ("BRANCH_EQ", [20.0, 10.0, 20.0, 20.0]),
        ("BRANCH_NEQ", [10.0, 20.0, 10.0, 10.0]),
    ];
    for (mode, expected) in cases {
        for tracks_true in [0, 1] {
            let strings = AttributeProto {
                name: "nodes_modes".to_owned(),
                strings: [mode, "LEAF", "LEAF"]
                    .map(|it| it.as_bytes().to_vec())
                    .to_vec(),
                ..AttributeProto::default()
            };
            let attributes = vec![
                strings,
                ints("nodes_treeids", &[0, 0, 0]),
                ints("nodes_nodeids", &[0, 1, 2]),
                ints("nodes_featureids", &[1, 0, 0]),
                ints("nodes_truenodeids", &[1, 0, 0]),
                ints("nodes_falsenodeids", &[2, 0, 0]),
                ints("nodes_missing_value_tracks_true", &[tracks_true, 0, 0]),
                floats("nodes_values", &[1.0, 0.0, 0.0]),
                ints("target_treeids", &[0, 0]),
                ints("target_nodeids", &[1, 2]),
                ints("target_ids", &[0, 0]),
                floats("target_weights", &[10.0, 20.0]),
            ];
            let tree = node(
                "TreeEnsembleRegressor",
                "ai.onnx.ml",
                &["X"],
                "Y",
                attributes,
            );
            let model = imported(&model(vec![tree], Vec::new())).unwrap();
            let score = |it: Option<f64>| model.score(&[None, it]).unwrap();
            let found = [Some(0.0), Some(1.0), Some(2.0), None].map(score);
            let mut expected = expected;
            if tracks_true == 1 {
                expected[3] = 10.0;
            }
            assert_eq!(found, expected, "{mode} {tracks_true}");
        }
    }
}

#[test]
fn tensors_are_stretched_to_a_common_shape() {
    let tensor = Tensor::new(vec![2, 1], Data::Int(vec![1, 2])).unwrap();
    let shape = common_shape(&[2, 1], &[3]).unwrap();
    assert_eq!(shape, [2, 3]);
    assert_eq!(
        tensor.stretched(&shape).unwrap(),
        Data::Int(vec![1, 1, 1, 2, 2, 2])
    );
    let row = Tensor::new(vec![3], Data::Int(vec![1, 2, 3])).unwrap();
    assert_eq!(
        row.stretched(&shape).unwrap(),
        Data::Int(vec![1, 2, 3, 1, 2, 3])
    );
    assert!(common_shape(&[2], &[3]).is_err());
    assert!(Tensor::new(vec![usize::MAX, 2], Data::Int(Vec::new())).is_err());
}

proptest! {
    /// A file that was damaged is a model, or an error, and what is a model scores.
    #[test]
    fn no_file_makes_it_panic(at in 0_usize..400, byte: u8, cut in 0_usize..400) {
        let mut bytes = linear().encode_to_vec();
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(length - if cut < 200 { 0 } else { cut % length });
        let wanted = Imported {
            name: "m".to_owned(),
            features: vec!["a".to_owned(), "b".to_owned()],
            ..Imported::default()
        };
        if let Ok(model) = import(&bytes, &wanted) {
            let again = Model::parse(&model.to_bytes()).unwrap();
            let _ = again.score(&[Some(1.0), Some(2.0)]);
        }
    }
}
