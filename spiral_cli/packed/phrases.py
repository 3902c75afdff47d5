"""What Keras' descriptions of models have in common, so that a packed file need not say it again.

Deflate begins with these phrases as if they stood before the text (RFC 1950, preset dictionary). They are part of
the format: another word here is another version of it.
"""

from __future__ import annotations

import zlib

# The rarer first: what stands nearer to the text is found more cheaply.
PHRASES = (
    '"keras.src.models.sequential","class_name":"Sequential","config":{"name":"sequential"',
    '"class_name":"MultiHeadAttention","num_heads":2,"key_dim":4,"value_dim":4,"dropout":0.0,"use_bias":true,',
    '"attention_axes":[1],"shapes_dict":{"query_shape":[null,4,4],"value_shape":[null,4,4]}',
    '"class_name":"Embedding","embeddings_initializer":"RandomUniform","minval":-0.05,"maxval":0.05,"mask_zero":false',
    '"class_name":"LSTM","return_sequences":false,"return_state":false,"go_backwards":false,"stateful":false,',
    '"unroll":false,"zero_output_for_mask":false,"activation":"tanh","recurrent_activation":"sigmoid",',
    '"recurrent_initializer":{"module":"keras.initializers","class_name":"Orthogonal","config":{"seed":null,"gain":1.0}',
    '"unit_forget_bias":true,"recurrent_regularizer":null,"recurrent_constraint":null,"recurrent_dropout":0.0,',
    '"class_name":"Bidirectional","merge_mode":"concat","layer":{"class_name":"GRU","reset_after":true',
    '"class_name":"LayerNormalization","axis":[-1],"rms_scaling":false,"epsilon":0.001,"center":true,"scale":true',
    '"class_name":"DepthwiseConv2D","depth_multiplier":1,"depthwise_initializer":{"depthwise_regularizer":null,',
    '"depthwise_constraint":null,"class_name":"Concatenate","axis":-1,"class_name":"Multiply","class_name":"Reshape",',
    '"target_shape":[1,1,8],"class_name":"ZeroPadding2D","padding":[[1,1],[1,1]],"class_name":"Dropout","rate":0.5,',
    '"seed":null,"noise_shape":null,"class_name":"Activation","activation":"softmax","class_name":"ReLU",',
    '"max_value":null,"negative_slope":0.0,"threshold":0.0,"class_name":"Add","name":"add","build_config":',
    '{"input_shape":[[null,8,8,16],[null,8,8,16]]},"name":"global_average_pooling2d","keepdims":false',
    '"class_name":"GlobalAveragePooling2D","config":{"name":"BatchNormalization","config":{"name":',
    '"batch_normalization","axis":-1,"momentum":0.99,"epsilon":0.001,"center":true,"scale":true,"beta_initializer":',
    '{"module":"keras.initializers","class_name":"Zeros","config":{},"registered_name":null},"gamma_initializer":',
    '{"module":"keras.initializers","class_name":"Ones","config":{},"registered_name":null},',
    '"moving_mean_initializer":,"moving_variance_initializer":,"beta_regularizer":null,"gamma_regularizer":null,',
    '"beta_constraint":null,"gamma_constraint":null,"synchronized":false,"renorm":false,"renorm_clipping":null,',
    '"renorm_momentum":0.99},"kwargs":{"mask":null}}]},"training":false,"Flatten","config":{"name":"flatten",',
    '"MaxPooling2D","config":{"name":"max_pooling2d","pool_size":[2,2],"padding":"valid","strides":[2,2],',
    '"data_format":"channels_last"},"Conv2D","config":{"name":"conv2d",',
    '"filters":16,"kernel_size":[3,3],"strides":[1,1],"padding":"same","data_format":"channels_last",',
    '"dilation_rate":[1,1],"groups":1,"activation":"linear","use_bias":true,"kernel_initializer":',
    '"activity_regularizer":null,"kernel_constraint":null,"bias_constraint":null},"registered_name":null,',
    '"build_config":{"input_shape":[null,28,28,1]},"moving_mean","float32",[16]],["moving_variance","float32",[16]],',
    '"gamma","float32",[16]],["beta","float32",[16]],["conv2d/kernel","float32",[3,3,16,16]],',
    '{"keras":"3.15.0","model":{"module":"keras.src.models.functional","class_name":"Functional","config":{"name":',
    '"model","trainable":true,"layers":[{"module":"keras.layers","class_name":"InputLayer","config":{"batch_shape":',
    '[null,28,28,1],"dtype":"float32","sparse":false,"ragged":false,"name":"image","optional":false},',
    '"registered_name":null,"name":"image","inbound_nodes":[]},{"module":"keras.layers","class_name":"Dense",',
    '"config":{"name":"dense_1","trainable":true,"dtype":{"module":"keras","class_name":"DTypePolicy","config":',
    '{"name":"float32"},"registered_name":null},"units":100,"activation":"relu","use_bias":true,',
    '"kernel_initializer":{"module":"keras.initializers","class_name":"GlorotUniform","config":{"seed":null,',
    '"input_axes":null,"output_axes":null},"registered_name":null},"bias_initializer":{"module":',
    '"keras.initializers","class_name":"Zeros","config":{},"registered_name":null},"kernel_regularizer":null,',
    '"bias_regularizer":null,"kernel_constraint":null,"bias_constraint":null,"quantization_config":null},',
    '"registered_name":null,"build_config":{"input_shape":[null,100]},"name":"dense_1","inbound_nodes":[{"args":',
    '[{"class_name":"__keras_tensor__","config":{"shape":[null,100],"dtype":"float32","keras_history":',
    '["dense_1",0,0]}}],"kwargs":{}}]}],"input_layers":["image",0,0],"output_layers":["logits",0,0]},',
    '"registered_name":"Functional","build_config":{"input_shape":null}},"variables":[["dense_1/kernel","float32",',
    '[100,10]],["dense_1/bias","float32",[100]],["logits/kernel","float32",[100,10]],["logits/bias","float32",[10]]]}',
)
DICTIONARY = "".join(PHRASES).encode()


def deflate(text: str) -> bytes:
    """Return ``text`` in as few bytes as deflate takes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zdict=DICTIONARY)
    return packer.compress(text.encode()) + packer.flush()


def inflate(packed: bytes) -> str:
    """Return the text that `deflate` was given.

    Raises:
        ValueError: it was given none.
    """
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS, zdict=DICTIONARY)
    try:
        return (unpacker.decompress(packed) + unpacker.flush()).decode()
    except zlib.error as error:
        raise ValueError(str(error)) from error
