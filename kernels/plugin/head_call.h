// What the plugin is, whatever its interface: which tensors it takes, and how they become a launch of the head.
//
// Inputs: features (N, C, H, W), weights (classes, C), bias (classes,).
// Outputs: probabilities (N, classes), indices (N, top_k), scores (N, top_k), as edgetl_head.h has them.
#ifndef EDGETL_HEAD_CALL_H
#define EDGETL_HEAD_CALL_H

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstring>

#include "edgetl_head.h"

namespace edgetl::plugin {

using nvinfer1::DataType;
using nvinfer1::PluginTensorDesc;
using nvinfer1::TensorFormat;

constexpr char kName[] = "EdgetlFusedHead";
constexpr char kVersion[] = "1";  // another one when fields, tensors or their meaning change
constexpr char kNamespace[] = "edgetl";

enum Input { kFeatures, kWeights, kBias, kInputs };
enum Output { kProbabilities, kIndices, kScores, kOutputs };

struct Fields {
  std::int32_t top_k = 1;
  float feature_scale = 0.0F;  // of INT8 features; 0 where they are floats
};

constexpr char kTopK[] = "top_k";
constexpr char kFeatureScale[] = "feature_scale";
constexpr int kFieldCount = 2;

// The fields that `values` holds; TensorRT asks for them with null pointers to learn names and types.
inline void describe(const Fields *values, nvinfer1::PluginField (&fields)[kFieldCount]) {
  const void *const top_k = values == nullptr ? nullptr : &values->top_k;
  const void *const scale = values == nullptr ? nullptr : &values->feature_scale;
  fields[0] = nvinfer1::PluginField{kTopK, top_k, nvinfer1::PluginFieldType::kINT32, 1};
  fields[1] = nvinfer1::PluginField{kFeatureScale, scale, nvinfer1::PluginFieldType::kFLOAT32, 1};
}

inline bool are_sound(const Fields &fields) {
  return fields.top_k >= 1 && fields.top_k <= EDGETL_HEAD_MAX_TOP_K && fields.feature_scale >= 0.0F &&
         fields.feature_scale <= 3.4028234e38F;
}

// Fields of an ONNX node or of a plan. False where one is not the plugin's; one that is missing keeps its default.
inline bool read(const nvinfer1::PluginFieldCollection *given, Fields &fields) {
  if (given == nullptr) return false;
  for (std::int32_t i = 0; i < given->nbFields; ++i) {
    const nvinfer1::PluginField &field = given->fields[i];
    if (field.name == nullptr || field.data == nullptr || field.length != 1) return false;
    if (std::strcmp(field.name, kTopK) == 0 && field.type == nvinfer1::PluginFieldType::kINT32) {
      std::memcpy(&fields.top_k, field.data, sizeof fields.top_k);
    } else if (std::strcmp(field.name, kFeatureScale) == 0 &&
               field.type == nvinfer1::PluginFieldType::kFLOAT32) {
      std::memcpy(&fields.feature_scale, field.data, sizeof fields.feature_scale);
    } else {
      return false;
    }
  }
  return are_sound(fields);
}

inline DataType output_type(int output) { return output == kIndices ? DataType::kINT32 : DataType::kFLOAT; }

// Layouts that strides can say: CHW2, CHW4 and the like cannot be walked with one stride for the channels.
inline bool takes_features(const PluginTensorDesc &tensor, const Fields &fields) {
  if (fields.feature_scale > 0.0F) {
    return tensor.type == DataType::kINT8 && tensor.format == TensorFormat::kLINEAR;
  }
  if (tensor.type == DataType::kFLOAT) {
    return tensor.format == TensorFormat::kLINEAR || tensor.format == TensorFormat::kHWC;
  }
  return tensor.type == DataType::kHALF &&
         (tensor.format == TensorFormat::kLINEAR || tensor.format == TensorFormat::kHWC8 ||
          tensor.format == TensorFormat::kHWC16);
}

inline bool takes(int position, const PluginTensorDesc &tensor, const Fields &fields) {
  if (position == kFeatures) return takes_features(tensor, fields);
  if (tensor.format != TensorFormat::kLINEAR) return false;
  if (position == kWeights) return tensor.type == DataType::kFLOAT || tensor.type == DataType::kHALF;
  if (position == kBias) return tensor.type == DataType::kFLOAT;
  return tensor.type == output_type(position - kInputs);
}

// Channels from one pixel to the next, where channels are the innermost axis; 0 where they are not.
inline std::int64_t padded_channels(TensorFormat format, std::int64_t channels) {
  const auto up = [channels](std::int64_t by) { return (channels + by - 1) / by * by; };
  switch (format) {
    case TensorFormat::kHWC: return channels;
    case TensorFormat::kHWC8: return up(8);
    case TensorFormat::kHWC16: return up(16);
    default: return 0;
  }
}

inline void set_strides(TensorFormat format, edgetl_head_args &args) {
  const std::int64_t pixels = std::int64_t{args.height} * args.width;
  const std::int64_t padded = padded_channels(format, args.channels);
  args.layout = padded == 0 ? EDGETL_NCHW : EDGETL_NHWC;
  args.channel_stride = padded == 0 ? pixels : 1;
  args.column_stride = padded == 0 ? 1 : padded;
  args.row_stride = args.column_stride * args.width;
  args.batch_stride = padded == 0 ? pixels * args.channels : pixels * padded;
  args.weight_stride = args.channels;
}

// Everything but pointers and the number of multiprocessors. False where the shapes are none of a head.
inline bool set_sizes(const PluginTensorDesc &features, const PluginTensorDesc &weights, const Fields &fields,
                      edgetl_head_args &args) {
  if (features.dims.nbDims != 4 || weights.dims.nbDims != 2) return false;
  const auto size = [](std::int64_t dim) { return dim > INT32_MAX ? -1 : static_cast<std::int32_t>(dim); };
  args.batch = size(features.dims.d[0]);
  args.channels = size(features.dims.d[1]);
  args.height = size(features.dims.d[2]);
  args.width = size(features.dims.d[3]);
  args.classes = size(weights.dims.d[0]);
  if (weights.dims.d[1] != features.dims.d[1]) return false;
  args.top_k = fields.top_k;
  args.feature_dtype = features.type == DataType::kINT8   ? EDGETL_INT8
                       : features.type == DataType::kHALF ? EDGETL_FP16
                                                          : EDGETL_FP32;
  args.weight_dtype = weights.type == DataType::kHALF ? EDGETL_FP16 : EDGETL_FP32;
  args.feature_scale = fields.feature_scale;
  set_strides(features.format, args);
  return true;
}

// The status of every image lies behind the head's own workspace: outputs say it too, by -1 and NaN.
inline std::uint64_t status_offset(std::uint64_t head_bytes) { return (head_bytes + 15) / 16 * 16; }

// Enough for any device: the more multiprocessors, the more slices, down to slices of the least size.
constexpr std::int32_t kAnyMultiprocessors = 1 << 20;

inline std::size_t workspace(const PluginTensorDesc &features, const PluginTensorDesc &weights,
                             const Fields &fields) {
  edgetl_head_args args{};
  std::uint64_t bytes = 0;
  args.multiprocessors = kAnyMultiprocessors;
  if (!set_sizes(features, weights, fields, args)) return 0;
  if (edgetl_head_workspace(&args, &bytes) != EDGETL_OK) return 0;
  return static_cast<std::size_t>(status_offset(bytes) + std::uint64_t(args.batch) * sizeof(std::int32_t));
}

inline bool count_multiprocessors(std::int32_t &count) {
  int device = 0;
  return cudaGetDevice(&device) == cudaSuccess &&
         cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device) == cudaSuccess;
}

// One launch. TensorRT's workspace is anybody's between launches, so it is zeroed before each.
inline std::int32_t launch(const PluginTensorDesc *in, const void *const *inputs, void *const *outputs,
                           const Fields &fields, std::int32_t multiprocessors, void *workspace, void *stream) {
  edgetl_head_args args{};
  if (!set_sizes(in[kFeatures], in[kWeights], fields, args)) return EDGETL_BAD_SIZE;
  args.multiprocessors = multiprocessors;
  const edgetl_status measured = edgetl_head_workspace(&args, &args.workspace_bytes);
  if (measured != EDGETL_OK) return measured;
  if (workspace == nullptr) return EDGETL_NULL_POINTER;
  const cudaError_t zeroed =
      cudaMemsetAsync(workspace, 0, args.workspace_bytes, static_cast<cudaStream_t>(stream));
  if (zeroed != cudaSuccess) return EDGETL_LAUNCH_FAILED;
  args.workspace = workspace;
  args.status = reinterpret_cast<std::int32_t *>(static_cast<char *>(workspace) +
                                                 status_offset(args.workspace_bytes));
  args.features = inputs[kFeatures];
  args.weights = inputs[kWeights];
  args.bias = static_cast<const float *>(inputs[kBias]);
  args.probabilities = static_cast<float *>(outputs[kProbabilities]);
  args.indices = static_cast<std::int32_t *>(outputs[kIndices]);
  args.scores = static_cast<float *>(outputs[kScores]);
  return edgetl_head_launch(&args, stream);
}

}  // namespace edgetl::plugin

#endif
