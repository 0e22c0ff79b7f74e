// The plugin for TensorRT 8.
#ifndef EDGETL_HEAD_V2_H
#define EDGETL_HEAD_V2_H

#include <new>

#include "head_call.h"

namespace edgetl::plugin {

class Head final : public nvinfer1::IPluginV2DynamicExt {
 public:
  explicit Head(const Fields &fields) noexcept : fields_(fields) {}

  const char *getPluginType() const noexcept override { return kName; }
  const char *getPluginVersion() const noexcept override { return kVersion; }
  const char *getPluginNamespace() const noexcept override { return kNamespace; }
  void setPluginNamespace(const char *) noexcept override {}  // it has one

  std::int32_t initialize() noexcept override { return 0; }
  void terminate() noexcept override {}
  void destroy() noexcept override { delete this; }
  nvinfer1::IPluginV2DynamicExt *clone() const noexcept override { return new (std::nothrow) Head(fields_); }

  std::size_t getSerializationSize() const noexcept override { return sizeof fields_; }
  void serialize(void *buffer) const noexcept override { std::memcpy(buffer, &fields_, sizeof fields_); }

  std::int32_t getNbOutputs() const noexcept override { return kOutputs; }

  DataType getOutputDataType(std::int32_t output, const DataType *, std::int32_t) const noexcept override {
    return output_type(output);
  }

  nvinfer1::DimsExprs getOutputDimensions(std::int32_t output, const nvinfer1::DimsExprs *in, std::int32_t inputs,
                                          nvinfer1::IExprBuilder &made) noexcept override {
    nvinfer1::DimsExprs out{};
    out.nbDims = -1;  // TensorRT refuses it
    if (inputs != kInputs || in[kFeatures].nbDims != 4 || in[kWeights].nbDims != 2) return out;
    out.nbDims = 2;
    out.d[0] = in[kFeatures].d[0];
    out.d[1] = output == kProbabilities ? in[kWeights].d[0] : made.constant(fields_.top_k);
    return out;
  }

  bool supportsFormatCombination(std::int32_t position, const PluginTensorDesc *tensors, std::int32_t inputs,
                                 std::int32_t outputs) noexcept override {
    return inputs == kInputs && outputs == kOutputs && takes(position, tensors[position], fields_);
  }

  void configurePlugin(const nvinfer1::DynamicPluginTensorDesc *, std::int32_t,
                       const nvinfer1::DynamicPluginTensorDesc *, std::int32_t) noexcept override {}

  std::size_t getWorkspaceSize(const PluginTensorDesc *in, std::int32_t, const PluginTensorDesc *,
                               std::int32_t) const noexcept override {
    return workspace(in[kFeatures], in[kWeights], fields_);
  }

  std::int32_t enqueue(const PluginTensorDesc *in, const PluginTensorDesc *, const void *const *inputs,
                       void *const *outputs, void *scratch, cudaStream_t stream) noexcept override {
    if (multiprocessors_ == 0 && !count_multiprocessors(multiprocessors_)) return EDGETL_LAUNCH_FAILED;
    return launch(in, inputs, outputs, fields_, multiprocessors_, scratch, stream);
  }

 private:
  Fields fields_;
  std::int32_t multiprocessors_ = 0;
};

class Creator final : public nvinfer1::IPluginCreator {
 public:
  Creator() noexcept { plugin::describe(nullptr, known_); }

  const char *getPluginName() const noexcept override { return kName; }
  const char *getPluginVersion() const noexcept override { return kVersion; }
  const char *getPluginNamespace() const noexcept override { return kNamespace; }
  void setPluginNamespace(const char *) noexcept override {}
  const nvinfer1::PluginFieldCollection *getFieldNames() noexcept override { return &collection_; }

  nvinfer1::IPluginV2DynamicExt *createPlugin(
      const char *, const nvinfer1::PluginFieldCollection *given) noexcept override {
    Fields fields;
    return read(given, fields) ? new (std::nothrow) Head(fields) : nullptr;
  }

  nvinfer1::IPluginV2DynamicExt *deserializePlugin(
      const char *, const void *data, std::size_t length) noexcept override {
    Fields fields;
    if (data == nullptr || length != sizeof fields) return nullptr;
    std::memcpy(&fields, data, sizeof fields);
    return are_sound(fields) ? new (std::nothrow) Head(fields) : nullptr;
  }

 private:
  nvinfer1::PluginField known_[kFieldCount];
  nvinfer1::PluginFieldCollection collection_{kFieldCount, known_};
};

}  // namespace edgetl::plugin

#endif
