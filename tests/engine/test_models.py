"""LoRAs on and off without reloading the base; nothing left behind; ControlNets skipped where their scale is 0."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import models as engine_models
from engine.diffuse import Engine
from schemas.catalogue import Entry
from schemas.errors import ModelError, ModelMissing
from schemas.spec import LoraRef
from tests.engine.conftest import Studio


def pixels(engine: Engine, studio: Studio, **fields: Any) -> np.ndarray:
    row = studio.render(engine, [studio.spec(0, **fields)])[0]
    assert row.error is None, row.error
    return row.pixels


def test_loras_change_the_picture_and_leave_no_trace(engine: Engine, studio: Studio) -> None:
    plain = pixels(engine, studio)
    loads = engine.models.loads
    style = pixels(engine, studio, loras=(studio.lora(weight=0.8),))
    half = pixels(engine, studio, loras=(studio.lora(weight=0.4),))
    both = pixels(engine, studio, loras=(studio.lora(weight=0.8), studio.lora("studio-tiny/lcm", 0.5)))
    off = pixels(engine, studio, loras=(studio.lora(weight=0.0),))
    again = pixels(engine, studio, loras=(studio.lora(weight=0.8),))
    after = pixels(engine, studio)
    for other in (style, half, both):
        assert (other != plain).any()
    assert (style != half).any() and (style != both).any()
    np.testing.assert_array_equal(style, again)
    np.testing.assert_array_equal(plain, after)
    assert np.abs(off.astype(int) - plain.astype(int)).max() <= 1
    assert engine.models.loads == loads
    assert not any("lora" in name for name, _ in engine.models._base.unet.named_parameters())


@pytest.fixture
def talkative(engine: Engine, studio: Studio, tmp_path: Path) -> Iterator[LoraRef]:
    """A LoRA of both text encoders and nothing else, in the engine's catalogue for this test."""
    import torch
    from diffusers import StableDiffusionXLPipeline
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    torch.manual_seed(3)
    folder = studio.catalogue.where("studio-tiny", asker="test")
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
    for encoder in (pipe.text_encoder, pipe.text_encoder_2):
        wanted = ["q_proj", "out_proj"]
        encoder.add_adapter(LoraConfig(r=2, lora_alpha=2, init_lora_weights=False, target_modules=wanted))
    StableDiffusionXLPipeline.save_lora_weights(
        tmp_path,
        text_encoder_lora_layers=get_peft_model_state_dict(pipe.text_encoder),
        text_encoder_2_lora_layers=get_peft_model_state_dict(pipe.text_encoder_2),
    )
    entries = engine.models.catalogue.entries
    entries["talk"] = Entry(alias="talk", kind="lora", path=tmp_path)
    yield LoraRef(alias="talk", digest=engine.models.catalogue.digest("talk"))
    del entries["talk"]


def test_a_loras_text_encoder_parts_count(engine: Engine, studio: Studio, talkative: LoraRef) -> None:
    """Embeddings are remembered by the LoRAs worn, so the same words are encoded again under another."""
    words = {"prompt": "a bottle said only here", "negative_prompt": "a jar said only here"}
    plain = pixels(engine, studio, **words)
    spoken = pixels(engine, studio, **words, loras=(talkative,))
    assert (spoken != plain).any()
    np.testing.assert_array_equal(pixels(engine, studio, **words), plain)
    np.testing.assert_array_equal(pixels(engine, studio, **words, loras=(talkative,)), spoken)


def test_loras_that_were_used_stay_until_their_bytes_are_too_many(
    engine: Engine, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []
    load = engine_models.load_by_peft

    def load_and_count(*given: Any) -> int:
        loaded.append(given[2])
        return load(*given)

    monkeypatch.setattr(engine_models, "load_by_peft", load_and_count)
    style, lcm = studio.lora(weight=0.8), studio.lora("studio-tiny/lcm", 0.5)
    pixels(engine, studio)  # takes off what other tests put on
    first = [pixels(engine, studio, loras=(lora,)) for lora in (style, lcm)]
    again = [pixels(engine, studio, loras=(lora,)) for lora in (style, lcm)]
    assert len(loaded) == 2
    np.testing.assert_array_equal(first, again)
    monkeypatch.setattr(engine_models, "LORAS_HELD", 0)
    np.testing.assert_array_equal(first[0], pixels(engine, studio, loras=(style,)))
    np.testing.assert_array_equal(first[1], pixels(engine, studio, loras=(lcm,)))
    assert len(loaded) == 3 and len(engine.models._loras) == 1
    pixels(engine, studio)
    assert not any("lora" in name for name, _ in engine.models._base.unet.named_parameters())


def test_a_failed_change_of_loras_is_not_taken_for_done(
    engine: Engine, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = pixels(engine, studio)
    base = engine.models._base
    with monkeypatch.context() as patch:
        patch.setattr(base, "set_adapters", lambda *_: (_ for _ in ()).throw(ModelMissing("broken")))
        row = studio.render(engine, [studio.spec(0, loras=(studio.lora(weight=0.9),))])[0]
        assert isinstance(row.error, ModelMissing)
    np.testing.assert_array_equal(pixels(engine, studio), plain)


def test_weights_that_do_not_fit_fail_their_own_specs_and_leave_the_engine_sound(
    engine: Engine, studio: Studio, tmp_path: Path
) -> None:
    """A broken file, and a ControlNet's weights given as a LoRA: an error each, and the next batch is as before."""
    plain = pixels(engine, studio)
    (tmp_path / "broken.safetensors").write_bytes(b"not at all")
    net = studio.catalogue.files("studio-tiny/canny", asker="test")[-1]
    entries = engine.models.catalogue.entries
    for path in (tmp_path / "broken.safetensors", net):
        entries["odd"] = Entry(alias="odd", kind="lora", path=path)
        odd = LoraRef(alias="odd", digest=engine.models.catalogue.digest("odd"))
        rows = studio.render(engine, [studio.spec(n, loras=(odd,)) for n in range(2)])
        assert all(isinstance(row.error, ModelError) for row in rows), [row.error for row in rows]
        assert "test/asset-0" in str(rows[0].error)
        np.testing.assert_array_equal(pixels(engine, studio), plain)
    del entries["odd"]


def test_no_controlnet_forward_where_its_scale_is_zero(engine: Engine, studio: Studio) -> None:
    def forwards(**fields: Any) -> tuple[int, int, np.ndarray]:
        control = studio.control(**fields)
        studio.render(engine, [studio.spec(0, controls=(control,))])
        net, calls = engine.models._nets[control.model.digest], []
        hooks = [net.register_forward_hook(lambda *_: calls.append("net"))]
        hooks.append(net.controlnet_cond_embedding.embedding.register_forward_hook(lambda *_: calls.append("cond")))
        made = pixels(engine, studio, controls=(control,), num_inference_steps=6)
        for hook in hooks:
            hook.remove()
        return calls.count("net"), calls.count("cond"), made

    plain = pixels(engine, studio, num_inference_steps=6)
    none = forwards(controlnet_conditioning_scale=0.0)
    half = forwards(control_guidance_end=0.5)
    late = forwards(control_guidance_start=0.5)
    full = forwards()
    assert (none[0], half[0], late[0], full[0]) == (0, 3, 3, 6)
    assert (none[1], full[1]) == (0, 1)  # the condition is embedded once, not at every step
    np.testing.assert_array_equal(none[2], plain)
    assert (half[2] != full[2]).any() and (half[2] != plain).any()
