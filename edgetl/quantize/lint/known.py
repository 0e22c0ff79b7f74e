"""The rules of each target as data: what it wants of a Q/DQ graph, who says so, and what mends a breach."""

from __future__ import annotations

from edgetl.quantize.lint.rules import table

__all__ = ["OPENVINO", "TENSORRT"]

_PARSER = "onnx-tensorrt 10.1, onnxOpImporters.cpp"
_HEADER = "NvInfer.h 10.16"
_LAYERS = "TensorRT documentation, Explicit Quantization"
_PLACES = "TensorRT documentation, Q/DQ Layer-Placement Recommendations"
_TOOLKIT = "tensorflow-quantization, add_custom_qdq_cases.md"
_MODELOPT = "ModelOpt, modelopt/onnx/quantization/int8.py"
_STRONG = f"{_HEADER}, NetworkDefinitionCreationFlag::kSTRONGLY_TYPED"
_DLA = "TensorRT documentation, DLA Supported Layers and Restrictions"

TENSORRT = table(
    (
        (
            "R1",
            "error",
            "Quantization is symmetric: the zero point is 0.",
            "quantize symmetrically (edgetl quantize --device jetson)",
            _PARSER,
        ),
        (
            "R2",
            "error",
            "The integers are int8 (or FP8, INT4); a uint8 zero point is read as int8, which changes the values.",
            "write int8 zero points",
            _PARSER,
        ),
        (
            "R3",
            "error",
            "Every scale is constant, finite and above 0.",
            "calibrate the tensor again",
            _PARSER,
        ),
        (
            "R4",
            "error",
            "An activation has one scale.",
            "one scale for the whole tensor",
            f"{_HEADER}, IQuantizeLayer",
        ),
        (
            "R5",
            "error",
            "Scales of weights lie on the axis of the output channels, one a channel.",
            "axis 0 for Conv, 1 for ConvTranspose and MatMul, 0 for Gemm with transB=1 and else 1; always written",
            f"{_PARSER}; pytorch-quantization user guide",
        ),
        (
            "R6",
            "error",
            "A DequantizeLinear with several scales reads a constant.",
            "one scale, for this is an activation",
            f"{_HEADER}, IDequantizeLayer",
        ),
        (
            "R7",
            "warning",
            "Nothing of rank 0 is quantized.",
            "leave the scalar in float",
            f"{_HEADER}; {_PARSER}",
        ),
        (
            "R8",
            "error",
            "Scale and zero point have the same number of elements.",
            "one zero point a scale",
            _PARSER,
        ),
        (
            "R9",
            "error",
            "A bias stays in float: no pair and no int32 DequantizeLinear.",
            "ONNX Runtime's quantizer: extra_options={'QuantizeBias': False}",
            "microsoft/onnxruntime#14229, #17738",
        ),
        (
            "R10",
            "error",
            "Q/DQ pairs only: no QLinear operator, ConvInteger, MatMulInteger or DynamicQuantizeLinear.",
            "ONNX Runtime's quantizer: quant_format=QuantFormat.QDQ, and static",
            "onnx-tensorrt, docs/operators.md",
        ),
        (
            "R11",
            "unchecked",
            "Weights are float with Q and DQ, or int8 with DQ.",
            "both forms are taken since 8.0: nothing can be wrong",
            f"{_LAYERS}; microsoft/onnxruntime#14229",
        ),
        (
            "R12",
            "unchecked",
            "Rounding is half to even, and clamps to [-128, 127].",
            "arithmetic of the runtime: our simulation rounds so, and its tests say so",
            _HEADER,
        ),
        (
            "R13",
            "warning",
            "All inputs of Conv, ConvTranspose, Gemm and MatMul have a pair, or none: one alone gives no INT8 kernel.",
            "quantize the other input too, or take this pair away",
            _PLACES,
        ),
        (
            "R14",
            "warning",
            "No pair on the output of a weighted operator that nothing reads in integers.",
            "take the pair away: the next layer's input has its own",
            _PLACES,
        ),
        (
            "R15",
            "warning",
            "No pair between a weighted operator and the BatchNormalization, Relu or Clip that is fused into it.",
            "move the pair behind the activation",
            f"{_PLACES}; {_TOOLKIT}",
        ),
        (
            "R16",
            "warning",
            "The Add of a residual connection has a pair on its skip input, and on that alone.",
            "a pair on the skip input only, so that convolution and Add are one INT8 kernel",
            f"{_TOOLKIT}; ModelOpt, build_non_residual_input_map",
        ),
        (
            "R17",
            "warning",
            "No pairs on both sides of an operator that only moves values.",
            "one pair, before it: Q and DQ move through it",
            f"{_LAYERS}, Q/DQ Propagation",
        ),
        (
            "R18",
            "warning",
            "AveragePool, GlobalAveragePool, Add and Mul run in INT8 with DQ before and Q behind them.",
            "pairs on both sides, or on neither",
            _MODELOPT,
        ),
        (
            "R19",
            "warning",
            "A MaxPool on a skip connection has a pair.",
            "a pair before the MaxPool",
            "tensorflow-quantization, add_new_layer_support.md",
        ),
        (
            "R20",
            "warning",
            "The inputs of a Concat and its output share one scale.",
            "the largest of their scales for all of them",
            f"{_MODELOPT}; qdq-translator README",
        ),
        (
            "R21",
            "warning",
            "All pairs on one tensor have the same scale.",
            "ONNX Runtime's quantizer: DedicatedQDQPair=True copies the pair and keeps the scale",
            "microsoft/onnxruntime#9720",
        ),
        (
            "R22",
            "unchecked",
            "INT8 depthwise and grouped convolutions are often slower than FP16.",
            "measured on the device, where their speed shows",
            "NVIDIA/TensorRT#4529, #1409, #3205, #4060",
        ),
        (
            "R23",
            "unchecked",
            "INT8 kernels want channels in multiples of 32; a convolution of 3 channels gains little.",
            "measured on the device, where their speed shows",
            "NVIDIA/TensorRT#1310; ModelOpt, find_nodes_from_convs_to_exclude",
        ),
        (
            "R24",
            "warning",
            "A MatMul of one row or column, or with K or N below 16, stays in float.",
            "take its pairs away",
            f"{_MODELOPT}, _MIN_MATMUL_DIM",
        ),
        (
            "R25",
            "warning",
            "Softmax, LayerNormalization, Gelu, Erf, Exp, TopK, NonMaxSuppression and smooth Resize read float.",
            "take the pair before it away",
            "NVIDIA/TensorRT#1310; ModelOpt, patterns of attention and LayerNorm",
        ),
        (
            "R26",
            "warning",
            "A quantized Conv that feeds a LayerNormalization has a pair between them.",
            "a pair on the input of the LayerNormalization, so that the Conv writes INT8",
            f"{_MODELOPT}, find_conv_to_layernorm_nodes",
        ),
        (
            "R27",
            "warning",
            "No pair inside Conv, Sigmoid, Mul (SiLU): it is fused as one tail.",
            "one pair, behind the Mul",
            "NVIDIA/TensorRT#3205",
        ),
        (
            "R28",
            "warning",
            "Between ConvTranspose and its BatchNormalization stands nothing.",
            "take the Identity away, or fold the BatchNormalization",
            "NVIDIA/TensorRT#1699",
        ),
        (
            "R29",
            "build",
            "GPUs below SM 7.5 lack some INT8 kernels.",
            "the builder names the layer; then its pairs are taken away",
            "TensorRT documentation",
        ),
        (
            "R30",
            "build",
            "A weakly typed build (8.6, 10.3) sets INT8 and FP16, or the rest runs in FP32.",
            "the build command sets both flags",
            "NVIDIA/TensorRT#3197; pytorch/TensorRT#93",
        ),
        ("R31", "build", "No calibrator beside Q/DQ.", "the build command sets none", _LAYERS),
        (
            "R32",
            "build",
            "TensorRT 11 knows explicit quantization and strong typing only.",
            "the build command asks the installed version",
            "TensorRT documentation, Removed APIs 11",
        ),
        (
            "R33",
            "error",
            "The scale of a QuantizeLinear has the type of its data.",
            "an FP16 scale for FP16 data",
            f"{_PARSER}; {_HEADER}",
        ),
        (
            "R34",
            "warning",
            "INT8 and FP8 are not mixed in one network.",
            "INT8 throughout for convolutional networks",
            "NVIDIA/TensorRT#4524",
        ),
        (
            "R35",
            "error",
            "Scales for channels need opset 13, FP16 scales and FP8 19, INT4 and blocks 21, FP4 23.",
            "export with a newer opset",
            "TensorRT documentation, ONNX support",
        ),
        (
            "R36",
            "build",
            "Whether DLA takes Q/DQ depends on the release.",
            "the builder is asked layer by layer (can_run_on_DLA)",
            "Deep-Learning-Accelerator-SW, qdq-translator README",
        ),
        (
            "R37",
            "unchecked",
            "trtexec's flags for DLA on JetPack 5 and 6.0.",
            "a command line, not a graph",
            "Deep-Learning-Accelerator-SW, qdq-translator README",
        ),
        (
            "R38",
            "error",
            "DLA: every shape is fixed, the batch is at most 4096, another dimension at most 8192.",
            "export with a fixed batch and a smaller input",
            _DLA,
        ),
        (
            "R39",
            "warning",
            "DLA: an operator that it does not run falls back to the GPU.",
            "a model without it, or GPU fallback allowed",
            "Deep-Learning-Accelerator-SW, operators README",
        ),
        (
            "R40",
            "build",
            "DLA builds of 11.4 are strongly typed; 10.7 is the last of 10 with DLA.",
            "the builder of the device answers",
            "TensorRT documentation, Working with DLA",
        ),
        (
            "R41",
            "build",
            "Jetson Nano (SM 5.3) and TX2 (SM 6.2) have no INT8.",
            "the device's profile says FP16",
            "wang-xinyu/tensorrtx#831, NVIDIA-AI-IOT/torch2trt#255",
        ),
        (
            "R42",
            "build",
            "Thor on 10.13 ignores the FP8 and FP4 flags.",
            "the engine's layers are read, never the flag",
            "NVIDIA/TensorRT#4590",
        ),
        (
            "R43",
            "build",
            "A Jetson's memory is shared: workspace below what is free.",
            "checked before the build on the device",
            "NVIDIA/TensorRT#3355, #1661",
        ),
        (
            "T1",
            "error",
            "The operands of an operator have one type: a strongly typed network casts nothing by itself.",
            "a Cast before the operand of the other type (edgetl writes model.int8.fp16.onnx so)",
            _STRONG,
        ),
        (
            "T2",
            "warning",
            "In a graph with FP16 types no operator reads float32 that FP16 holds: it is an island between casts.",
            "an FP16 scale for its DequantizeLinear and no Cast before it, if its values stay below 65504",
            f"{_HEADER}, IDequantizeLayer; {_STRONG}",
        ),
        (
            "T3",
            "error",
            "An FP16 constant is finite: what was beyond 65504 became infinity when it was converted.",
            "keep the operator that reads it in float32",
            "IEEE 754, binary16",
        ),
        (
            "T4",
            "error",
            "A uint8 input goes into a Cast at once: no other layer reads uint8, not even to move it.",
            "the Cast before the Reshape or Transpose (edgetl quantize --device jetson puts it there)",
            "NVIDIA/TensorRT#3985",
        ),
    )
)
"""TensorRT and its DLA; T1 to T4 are ours, of what it makes of the types in a graph."""

_MEASURED = "measured on OpenVINO 2026.4 (CPU)"

OPENVINO = table(
    (
        (
            "O1",
            "error",
            "An int8 activation has zero point 0: the CPU plugin has no kernel for another.",
            "uint8 activations (ONNX Runtime's quantizer: activation_type=QuantType.QUInt8)",
            _MEASURED,
        ),
        (
            "O2",
            "warning",
            "HardSwish is one operator: written as HardSigmoid and Mul it runs in float with reorders round it.",
            "quantize the exporter's own graph, not what quant_pre_process or an optimizer made of it",
            _MEASURED,
        ),
        (
            "O3",
            "warning",
            "A Relu or Clip that the integers behind it imply is gone: it would run as a layer of its own.",
            "take the activation away (edgetl quantize does)",
            _MEASURED,
        ),
        (
            "O4",
            "warning",
            "The arithmetic of preprocessing has no pairs: they cost a float pass over the picture.",
            "exclude the nodes before the first convolution",
            _MEASURED,
        ),
        (
            "O5",
            "warning",
            "Activations are uint8 with a zero point: int8 symmetric ones are 10 to 25 % slower.",
            "edgetl quantize --device intel-cpu",
            _MEASURED,
        ),
    )
)
"""OpenVINO's CPU plugin."""
