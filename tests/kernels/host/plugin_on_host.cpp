// The plugin as TensorRT drives it, for the CPU: CUDA's three calls and the head's launch are written down, no more.
#include "../../../kernels/plugin/plugin.cpp"

#include <new>
#include <type_traits>

#include "edgetl_head_plan.h"

namespace {

using namespace edgetl::plugin;
using Size = std::remove_reference_t<decltype(nvinfer1::Dims{}.d[0])>;

edgetl_head_args launched;
std::int32_t processors = 8;
void *zeroed;
std::uint64_t zeroed_bytes;

nvinfer1::PluginFieldCollection collection(nvinfer1::PluginField (&fields)[kFieldCount]) {
  return {kFieldCount, fields};
}

Head *made(const nvinfer1::PluginFieldCollection &given) {
#if NV_TENSORRT_MAJOR < 10
  return static_cast<Head *>(registration.creator.createPlugin("fused_head", &given));
#else
  return static_cast<Head *>(
      registration.creator.createPlugin("fused_head", &given, nvinfer1::TensorRTPhase::kBUILD));
#endif
}

// Through a plan and back: written by one object, read into another, as a context then gets it.
Head *restored(Head &head) {
#if NV_TENSORRT_MAJOR < 10
  alignas(8) char plan[64];
  if (head.getSerializationSize() > sizeof plan) return nullptr;
  head.serialize(plan);
  auto *const read = static_cast<Head *>(
      registration.creator.deserializePlugin("fused_head", plan, head.getSerializationSize()));
  return read == nullptr ? nullptr : static_cast<Head *>(read->clone());
#else
  const auto *const fields = head.getFieldsToSerialize();
  auto *const read = static_cast<Head *>(
      registration.creator.createPlugin("fused_head", fields, nvinfer1::TensorRTPhase::kRUNTIME));
  return read == nullptr ? nullptr : static_cast<Head *>(read->attachToContext(nullptr));
#endif
}

struct Tensors {
  PluginTensorDesc at[kInputs + kOutputs];
};

PluginTensorDesc tensor(std::initializer_list<int> dims, int type = 0, int format = 0) {
  PluginTensorDesc desc{};
  desc.dims.nbDims = static_cast<std::int32_t>(dims.size());
  Size *place = desc.dims.d;
  for (const int dim : dims) *place++ = dim;
  desc.type = static_cast<DataType>(type);
  desc.format = static_cast<TensorFormat>(format);
  return desc;
}

Tensors tensors(const int (&sizes)[5], int type, int format, int weights) {
  const auto [batch, channels, height, width, classes] = sizes;
  return {{tensor({batch, channels, height, width}, type, format), tensor({classes, channels}, weights),
           tensor({classes}), tensor({batch, classes}), tensor({batch, 5}, 3), tensor({batch, 5})}};
}

class Sizes final : public nvinfer1::apiv::VExprBuilder {
 public:
  const nvinfer1::IDimensionExpr *constant(Size value) noexcept override {
    return reinterpret_cast<const nvinfer1::IDimensionExpr *>(static_cast<std::uintptr_t>(value));
  }
  const nvinfer1::IDimensionExpr *operation(nvinfer1::DimensionOperation, const nvinfer1::IDimensionExpr &,
                                            const nvinfer1::IDimensionExpr &) noexcept override {
    return nullptr;
  }
#if NV_TENSORRT_MAJOR >= 10
  const nvinfer1::IDimensionExpr *declareSizeTensor(std::int32_t, const nvinfer1::IDimensionExpr &,
                                                    const nvinfer1::IDimensionExpr &) noexcept override {
    return nullptr;
  }
#endif
};

class Builder final : public nvinfer1::IExprBuilder {
 public:
  Builder() { mImpl = &sizes_; }

 private:
  Sizes sizes_;
};

}  // namespace

extern "C" {

nvinfer1::IPluginRegistry *getPluginRegistry() noexcept { return nullptr; }

cudaError_t cudaMemsetAsync(void *place, int value, std::size_t bytes, cudaStream_t) {
  std::memset(place, value, bytes);
  zeroed = place;
  zeroed_bytes = bytes;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device) {
  *device = 0;
  return processors > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr, int) {
  *value = processors;
  return cudaSuccess;
}

edgetl_status edgetl_head_workspace(const edgetl_head_args *args, std::uint64_t *bytes) {
  return edgetl::head::measure(args, bytes);
}

edgetl_status edgetl_head_launch(const edgetl_head_args *args, void *) {
  edgetl::head::Plan plan{};
  launched = *args;
  return edgetl::head::make_plan(args, plan);
}

void test_identity(const char **name, const char **version, const char **space) {
  *name = registration.creator.getPluginName();
  *version = registration.creator.getPluginVersion();
  *space = registration.creator.getPluginNamespace();
}

// As the ONNX parser makes it: the creator says which attributes it knows, and gets those that a node has.
void *test_make(std::int32_t top_k, float scale, bool is_known) {
  const auto *const known = registration.creator.getFieldNames();
  nvinfer1::PluginField fields[kFieldCount];
  for (int i = 0; i < kFieldCount; ++i) fields[i] = known->fields[i];
  fields[0].data = &top_k;
  fields[1].data = &scale;
  if (!is_known) fields[1].name = "another";
  return made(collection(fields));
}

void *test_restore(void *head) { return restored(*static_cast<Head *>(head)); }

bool test_takes(void *head, int position, int type, int format) {
  const Tensors given = tensors({1, 8, 2, 2, 10}, 0, 0, 0);
#if NV_TENSORRT_MAJOR < 10
  PluginTensorDesc all[kInputs + kOutputs];
  for (int i = 0; i < kInputs + kOutputs; ++i) all[i] = given.at[i];
  all[position].type = static_cast<DataType>(type);
  all[position].format = static_cast<TensorFormat>(format);
#else
  nvinfer1::DynamicPluginTensorDesc all[kInputs + kOutputs]{};
  for (int i = 0; i < kInputs + kOutputs; ++i) all[i].desc = given.at[i];
  all[position].desc.type = static_cast<DataType>(type);
  all[position].desc.format = static_cast<TensorFormat>(format);
#endif
  return static_cast<Head *>(head)->supportsFormatCombination(position, all, kInputs, kOutputs);
}

// Sizes of the outputs, for features of (101, 102, 103, 104) and weights of (105, 102).
bool test_shapes(void *head, std::int64_t (*found)[2]) {
  const auto size = [](std::uintptr_t value) {
    return reinterpret_cast<const nvinfer1::IDimensionExpr *>(value);
  };
  nvinfer1::DimsExprs in[kInputs]{}, out[kOutputs]{};
  in[kFeatures].nbDims = 4;
  for (std::uintptr_t i = 0; i < 4; ++i) in[kFeatures].d[i] = size(101 + i);
  in[kWeights].nbDims = 2;
  in[kWeights].d[0] = size(105);
  in[kWeights].d[1] = size(102);
  in[kBias].nbDims = 1;
  in[kBias].d[0] = size(105);
  Builder builder;
#if NV_TENSORRT_MAJOR < 10
  for (int i = 0; i < kOutputs; ++i) {
    out[i] = static_cast<Head *>(head)->getOutputDimensions(i, in, kInputs, builder);
  }
#else
  if (static_cast<Head *>(head)->getOutputShapes(in, kInputs, nullptr, 0, out, kOutputs, builder) != 0) return false;
#endif
  for (int i = 0; i < kOutputs; ++i) {
    if (out[i].nbDims != 2) return false;
    for (int axis = 0; axis < 2; ++axis) {
      found[i][axis] = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(out[i].d[axis]));
    }
  }
  return true;
}

std::uint64_t test_workspace(void *head, const int (&sizes)[5], int type, int format, int weights) {
  const Tensors given = tensors(sizes, type, format, weights);
#if NV_TENSORRT_MAJOR < 10
  return static_cast<Head *>(head)->getWorkspaceSize(given.at, kInputs, given.at + kInputs, kOutputs);
#else
  nvinfer1::DynamicPluginTensorDesc all[kInputs + kOutputs]{};
  for (int i = 0; i < kInputs + kOutputs; ++i) {
    all[i] = {given.at[i], given.at[i].dims, given.at[i].dims, given.at[i].dims};
    all[i].desc.dims.d[0] = -1;  // as a batch that is free says it while building
  }
  all[kWeights].desc.dims = given.at[kWeights].dims;
  return static_cast<Head *>(head)->getWorkspaceSize(all, kInputs, all + kInputs, kOutputs);
#endif
}

int test_enqueue(void *head, const int (&sizes)[5], int type, int format, int weights,
                 const void *const *inputs, void *const *outputs, void *workspace) {
  const Tensors given = tensors(sizes, type, format, weights);
  return static_cast<Head *>(head)->enqueue(given.at, given.at + kInputs, inputs, outputs, workspace, nullptr);
}

void test_processors(int count) { processors = count; }
const edgetl_head_args *test_launched() { return &launched; }
void *test_zeroed(std::uint64_t *bytes) {
  *bytes = zeroed_bytes;
  return zeroed;
}
}
